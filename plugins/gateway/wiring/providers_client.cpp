#include "plugins/gateway/wiring/providers_client.h"

#include "palyra/services/provider.hpp"

#include <utility>

namespace palyra::gateway {

namespace pb = ::palyra::service::v1;

namespace {

// Looking at models must not hang a status page.
constexpr int64_t kListTimeout = 10 * kNanosPerSecond;

Status not_there(const std::string& instance) {
  return Status(
      Code::kUnavailable,
      "no provider \"" + instance + "\" is running; see \"palyra plugins\", or name another model",
      PALYRA_ERROR_RETRYABLE);
}

// For a failure that came without detail: refused by the registry, or a dead process.
pb::FailureKind kind_of(const Status& status) {
  switch (status.code()) {
    case Code::kUnavailable:
      return pb::FAILURE_KIND_UNAVAILABLE;
    case Code::kDeadlineExceeded:
      return pb::FAILURE_KIND_TIMEOUT;
    case Code::kUnauthenticated:
    case Code::kPermissionDenied:
      return pb::FAILURE_KIND_AUTH;
    case Code::kInvalidArgument:
      return pb::FAILURE_KIND_BAD_REQUEST;
    case Code::kNotFound:
      return pb::FAILURE_KIND_MODEL_NOT_FOUND;
    case Code::kCancelled:
      return pb::FAILURE_KIND_UNSPECIFIED;
    default:
      return pb::FAILURE_KIND_PROTOCOL;
  }
}

}  // namespace

Status ProvidersClient::start() {
  auto watch =
      ServiceWatch::start(host_, PALYRA_SERVICE_PROVIDER,
                          [this](bool added, const ServiceWatch::Publication& publication) {
                            changed(added, std::string(publication.instance));
                          });
  if (!watch.ok()) return watch.status();
  watch_ = std::move(*watch);
  return {};
}

void ProvidersClient::stop() {
  watch_.reset();
  providers_.clear();
}

void ProvidersClient::changed(bool added, const std::string& instance) {
  providers_.erase(instance);
  if (!added) return;
  Result<Client> client = Client::acquire(host_, PALYRA_SERVICE_PROVIDER, instance);
  if (!client.ok()) {
    host_.warn("provider cannot be used",
               {{"provider", instance}, {"reason", client.status().message()}});
    return;
  }
  providers_[instance] = std::make_shared<Provider>(Provider{std::move(*client), std::nullopt});
}

std::shared_ptr<ProvidersClient::Provider> ProvidersClient::find(
    const std::string& instance) const {
  const auto found = providers_.find(instance);
  return found == providers_.end() ? nullptr : found->second;
}

Task<ChatOutcome> ProvidersClient::chat(std::string instance, Serialised<pb::ChatRequest> request,
                                        std::function<void(const pb::ChatEvent&)> on_event,
                                        CancelToken cancel) {
  ChatOutcome outcome;
  const auto provider = find(instance);
  if (!provider) {
    outcome.status = not_there(instance);
    outcome.failure.set_kind(pb::FAILURE_KIND_UNAVAILABLE);
    co_return outcome;
  }
  CallOptions options;
  options.cancel = cancel;
  auto turn = provider->client.stream(provider::kChat, request, options);
  while (auto event = co_await turn.next()) on_event(*event);
  auto result = co_await turn.result();
  outcome.status = result.status();
  if (result.ok()) {
    outcome.result = std::move(*result);
    co_return outcome;
  }
  const std::string_view detail = turn.failure_detail();
  if (detail.empty() || !decode(turn.encoding(), detail, outcome.failure).ok()) {
    outcome.failure.Clear();
  }
  if (outcome.failure.kind() == pb::FAILURE_KIND_UNSPECIFIED) {
    outcome.failure.set_kind(kind_of(outcome.status));
  }
  co_return outcome;
}

Task<Result<pb::ListModelsResponse>> ProvidersClient::models(std::string instance, bool probe) {
  const auto provider = find(instance);
  if (!provider) co_return not_there(instance);
  if (!probe && provider->models) co_return *provider->models;
  pb::ListModelsRequest request;
  request.set_probe(probe);
  CallOptions options;
  options.deadline_ns = host_.clock().mono_now() + kListTimeout;
  auto response = co_await provider->client.call(provider::kListModels, request, options);
  if (response.ok()) provider->models = *response;
  co_return response;
}

std::vector<std::string> ProvidersClient::instances() const {
  std::vector<std::string> names;
  for (const auto& [name, provider] : providers_) names.push_back(name);
  return names;
}

}  // namespace palyra::gateway
