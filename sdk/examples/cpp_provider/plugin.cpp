// A provider in C++: the model "echo" says the user's last message, word by word. Messages are
// for the lite runtime and hidden, so that it may live beside any other plugin.
#include "palyra/plugin.hpp"

#include "echo.h"
#include "palyra/service.hpp"
#include "palyra/services/provider.hpp"

namespace {

using namespace palyra;
namespace pb = palyra::service::v1;

class Echo : public ServiceBase {
 public:
  explicit Echo(Host host) : ServiceBase(std::move(host), PALYRA_SERVICE_PROVIDER) {
    unary(provider::kListModels, this, &Echo::list_models);
    unary(provider::kCountTokens, this, &Echo::count_tokens);
    stream(provider::kChat, this, &Echo::chat);
  }

 private:
  Task<Result<pb::ListModelsResponse>> list_models(pb::ListModelsRequest, CallContext&) {
    pb::ListModelsResponse response;
    auto* model = response.add_models();
    model->set_id("echo");
    model->set_context_window(100'000);
    model->set_max_output_tokens(100'000);
    response.set_state(pb::PROVIDER_STATE_READY);
    co_return response;
  }

  Task<Result<pb::CountTokensResponse>> count_tokens(pb::CountTokensRequest request, CallContext&) {
    pb::CountTokensResponse response;
    for (const auto& text : request.texts()) {
      response.add_tokens(static_cast<int64_t>(words_of(text).size()));
    }
    co_return response;
  }

  Task<Result<pb::ChatResult>> chat(pb::ChatRequest request, CallContext& call,
                                    ItemWriter<pb::ChatEvent>& events) {
    if (request.model() != "echo") {
      pb::ChatFailure failure;
      failure.set_kind(pb::FAILURE_KIND_MODEL_NOT_FOUND);
      co_return call.fail(Status(Code::kNotFound, "this provider has one model, echo"), failure);
    }
    pb::ChatResult result;
    result.set_model("echo");
    result.set_finish_reason(pb::FINISH_REASON_STOP);
    std::string said;
    for (const auto& message : request.messages()) {
      const auto words = static_cast<int64_t>(words_of(message.text()).size());
      result.mutable_usage()->set_input_tokens(result.usage().input_tokens() + words);
      if (message.role() == pb::ROLE_USER) said = message.text();
    }
    for (const auto& word : words_of(said)) {
      if (result.usage().output_tokens() >= request.max_output_tokens()) {
        result.set_finish_reason(pb::FINISH_REASON_LENGTH);
        break;
      }
      pb::ChatEvent event;
      event.set_text_delta(word);
      if (Status gone = co_await events.write(event); !gone.ok()) co_return gone;
      result.mutable_usage()->set_output_tokens(result.usage().output_tokens() + 1);
    }
    co_return result;
  }
};

class EchoPlugin : public Plugin {
 public:
  explicit EchoPlugin(Host h) : Plugin(std::move(h)), echo_(host()) {}
  Status init(std::string_view) override { return echo_.publish(); }
  Status start() override {
    host().info("the echo provider is ready");
    return {};
  }

 private:
  Echo echo_;
};

}  // namespace

PALYRA_PLUGIN(EchoPlugin)
