#include "plugins/providers/embedded/provider.h"

#include "plugins/common/provider/tokens.h"
#include "plugins/providers/embedded/rules.h"

#include <utility>

namespace palyra::embedded {
namespace {

Answer fail_with(service::v1::FailureKind kind, std::string message) {
  Answer answer;
  answer.failure.emplace();
  answer.failure->kind = kind;
  answer.failure->message = std::move(message);
  return answer;
}

}  // namespace

EmbeddedProvider::EmbeddedProvider(const Clock& clock, Executor& executor, Config config,
                                   std::optional<Script> script)
    : clock_(clock), executor_(executor), config_(std::move(config)), script_(std::move(script)) {}

void EmbeddedProvider::chat(provider::TurnId id, const service::v1::ChatRequest& request,
                            uint32_t credits, std::unique_ptr<provider::TurnSink> sink) {
  const int64_t input_tokens = provider::estimate_prompt_tokens(request);
  Answer said = answer(request, input_tokens);

  TurnSettings settings;
  settings.model = request.model();
  settings.request_id = "embedded-" + std::to_string(id);
  settings.delay_ms = said.delay_ms.value_or(config_.delay_ms);
  settings.first_token_timeout_ms = request.first_token_timeout_ms() > 0
                                        ? request.first_token_timeout_ms()
                                        : config_.first_token_timeout_ms;

  auto turn = std::make_shared<Turn>(
      clock_, executor_, Playback(std::move(said), input_tokens, request.max_output_tokens()),
      std::move(settings), std::move(sink), [this, id] { turns_.erase(id); });
  turns_.emplace(id, turn);
  turn->start(credits);
}

Answer EmbeddedProvider::answer(const service::v1::ChatRequest& request, int64_t input_tokens) {
  const bool bench = request.model() == kBenchModel;
  if (!bench && request.model() != kRulesModel) {
    return fail_with(service::v1::FAILURE_KIND_MODEL_NOT_FOUND,
                     "the embedded provider has no model \"" + request.model() +
                         "\"; it has \"rules\" and \"bench\"");
  }
  if (!request.response_schema_json().empty()) {
    return fail_with(service::v1::FAILURE_KIND_BAD_REQUEST,
                     "the embedded provider is rule-based and cannot answer in a JSON schema; use "
                     "a model that can");
  }
  if (input_tokens > config_.context_window) {
    return fail_with(service::v1::FAILURE_KIND_CONTEXT_OVERFLOW,
                     "the prompt has about " + std::to_string(input_tokens) +
                         " tokens and the context window " +
                         std::to_string(config_.context_window));
  }
  if (script_) {
    if (auto scripted = script_->next(request)) return *std::move(scripted);
  }
  return bench ? answer_bench(request) : answer_by_rules(request);
}

void EmbeddedProvider::grant(provider::TurnId id, uint32_t credits) {
  if (const auto found = turns_.find(id); found != turns_.end()) found->second->grant(credits);
}

void EmbeddedProvider::cancel(provider::TurnId id) {
  if (const auto found = turns_.find(id); found != turns_.end()) found->second->cancel();
}

void EmbeddedProvider::list_models(bool /*probe*/, ModelsCallback done) {
  service::v1::ListModelsResponse response;
  for (const char* id : {kRulesModel, kBenchModel}) {
    auto* model = response.add_models();
    model->set_id(id);
    model->set_context_window(config_.context_window);
    model->set_tools(true);
    model->set_reasoning(false);
  }
  response.set_state(service::v1::PROVIDER_STATE_READY);
  executor_.post([response = std::move(response), done = std::move(done)] { done(response); });
}

service::v1::CountTokensResponse EmbeddedProvider::count_tokens(
    const service::v1::CountTokensRequest& request) const {
  service::v1::CountTokensResponse response;
  for (const auto& text : request.texts()) response.add_tokens(provider::estimate_tokens(text));
  response.set_estimated(true);
  return response;
}

}  // namespace palyra::embedded
