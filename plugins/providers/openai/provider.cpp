#include "plugins/providers/openai/provider.h"

#include "plugins/common/provider/tokens.h"
#include "plugins/providers/openai/api_error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace palyra::openai {
namespace {

constexpr int64_t kProbeTimeoutMs = 10'000;
constexpr size_t kMaxModels = 2000;
constexpr size_t kMaxModelsBody = 4 << 20;

}  // namespace

OpenAiProvider::OpenAiProvider(const Clock& clock, Executor& executor, Random& random,
                               http::HttpClient& http, ResolveKey resolve_key, Config config)
    : shared_{clock,
              executor,
              random,
              http,
              std::move(resolve_key),
              std::move(config),
              retry::BackoffPolicy{},
              retry::CircuitBreaker(),
              ""} {
  shared_.endpoint = http::host_of(shared_.config.base_url);
  models_ =
      shared_.config.models.empty() ? known_models(shared_.config.base_url) : shared_.config.models;
}

void OpenAiProvider::chat(provider::TurnId id, const service::v1::ChatRequest& request,
                          uint32_t credits, std::unique_ptr<provider::TurnSink> sink) {
  auto turn =
      std::make_shared<Turn>(shared_, request, credits, std::move(sink), [this, id] { ended(id); });
  turns_.emplace(id, turn);
  turn->wait();
  (request.background() ? background_ : foreground_).push_back(id);
  shared_.executor.post([this, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) start_waiting();
  });
}

void OpenAiProvider::start_waiting() {
  while (running_ < shared_.config.max_concurrency) {
    auto& queue = foreground_.empty() ? background_ : foreground_;
    if (queue.empty()) return;
    const provider::TurnId id = queue.front();
    queue.pop_front();
    const auto found = turns_.find(id);
    if (found == turns_.end()) continue;  // it ended while it waited
    ++running_;
    started_.insert(id);
    const auto turn = found->second;
    turn->run();
  }
}

void OpenAiProvider::ended(provider::TurnId id) {
  turns_.erase(id);
  if (started_.erase(id) == 0) return;
  --running_;
  shared_.executor.post([this, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) start_waiting();
  });
}

void OpenAiProvider::grant(provider::TurnId id, uint32_t credits) {
  const auto found = turns_.find(id);
  if (found == turns_.end()) return;
  const auto turn = found->second;
  turn->grant(credits);
}

void OpenAiProvider::cancel(provider::TurnId id) {
  if (const auto found = turns_.find(id); found != turns_.end()) found->second->cancel();
}

service::v1::ListModelsResponse OpenAiProvider::configured() const {
  service::v1::ListModelsResponse response;
  for (const ModelConfig& model : models_) {
    auto* out = response.add_models();
    out->set_id(model.id);
    out->set_context_window(model.context_window);
    out->set_max_output_tokens(model.max_output_tokens);
    out->set_tools(true);
    out->set_json_schema(true);
  }
  response.set_state(service::v1::PROVIDER_STATE_READY);
  response.set_endpoint(shared_.endpoint);
  return response;
}

// Receives GET /models.
class OpenAiProvider::Probe : public http::ResponseHandler {
 public:
  Probe(OpenAiProvider* provider, std::string key, ModelsCallback done)
      : provider_(provider),
        alive_(provider->alive_),
        key_(std::move(key)),
        done_(std::move(done)) {}

  void on_head(const http::ResponseHead& head) override { head_ = head; }
  void on_body(std::string_view bytes) override { body_ += bytes; }
  void on_done(const Status& status) override {
    if (alive_.expired()) return;
    auto unreachable = [this](const std::string& detail) {
      auto response = provider_->configured();
      response.set_state(service::v1::PROVIDER_STATE_UNREACHABLE);
      response.set_detail(detail);
      done_(response);
    };
    if (!status.ok()) return unreachable(status.message());
    // An endpoint that offers no list still answers.
    if (head_.status == 404 || head_.status == 405) return done_(provider_->configured());
    if (head_.status != 200) {
      const auto failure = failure_of_answer(provider_->shared_.endpoint, head_, body_, key_, 0);
      if (failure.detail.kind() != service::v1::FAILURE_KIND_AUTH) {
        return unreachable(failure.status.message());
      }
      auto response = provider_->configured();
      response.set_state(service::v1::PROVIDER_STATE_KEY_MISSING);
      response.set_detail(failure.status.message());
      return done_(response);
    }
    if (!learn()) {
      return unreachable(provider_->shared_.endpoint +
                         " answered GET /models with something else; check base_url");
    }
    done_(provider_->configured());
  }

 private:
  // Takes over the ids; what is configured stays first and keeps its limits.
  bool learn() {
    const auto root = nlohmann::json::parse(body_, nullptr, false);
    if (!root.is_object()) return false;
    const auto data = root.find("data");
    if (data == root.end() || !data->is_array()) return false;
    auto& models = provider_->models_;
    for (const auto& entry : *data) {
      if (models.size() >= kMaxModels) break;
      if (!entry.is_object()) continue;
      const auto id = entry.find("id");
      if (id == entry.end() || !id->is_string()) continue;
      const auto name = id->get<std::string>();
      const bool known = std::any_of(models.begin(), models.end(),
                                     [&name](const ModelConfig& m) { return m.id == name; });
      // Configured models are a choice: nothing is added to it.
      if (!known && provider_->shared_.config.models.empty()) models.push_back({name, 0, 0});
    }
    return true;
  }

  OpenAiProvider* provider_;
  std::weak_ptr<int> alive_;
  std::string key_;
  ModelsCallback done_;
  http::ResponseHead head_;
  std::string body_;
};

void OpenAiProvider::list_models(bool probe, ModelsCallback done) {
  shared_.executor.post([this, alive = std::weak_ptr<int>(alive_), probe, done = std::move(done)] {
    if (alive.expired()) return;
    const auto go_on = [this, alive, probe, done](Result<std::string> key) {
      if (alive.expired()) return;
      if (!key) {
        auto response = configured();
        response.set_state(service::v1::PROVIDER_STATE_KEY_MISSING);
        response.set_detail("the API key cannot be read: " + key.status().message());
        return done(response);
      }
      if (!probe) return done(configured());
      this->probe(*key, done);
    };
    if (shared_.config.api_key.empty()) return go_on(std::string());
    shared_.resolve_key(go_on);
  });
}

void OpenAiProvider::probe(const std::string& key, ModelsCallback done) {
  http::Request request = make_request(shared_.config, "/models", key);
  request.total_timeout_ms = std::min(kProbeTimeoutMs, shared_.config.first_token_timeout_ms);
  request.max_body_bytes = kMaxModelsBody;
  shared_.http.start(std::move(request), std::make_shared<Probe>(this, key, std::move(done)));
}

service::v1::CountTokensResponse OpenAiProvider::count_tokens(
    const service::v1::CountTokensRequest& request) const {
  service::v1::CountTokensResponse response;
  for (const auto& text : request.texts()) response.add_tokens(provider::estimate_tokens(text));
  response.set_estimated(true);
  return response;
}

}  // namespace palyra::openai
