#include "plugins/gateway/wiring/tools_client.h"

#include "palyra/services/tool.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace palyra::gateway {

namespace pb = ::palyra::service::v1;

namespace {

constexpr int64_t kToolListTimeout = 10 * kNanosPerSecond;
constexpr int kListAttempts = 5;

Status tools_not_there(const std::string& instance) {
  return Status(Code::kUnavailable, "no tools \"" + instance + "\" are running",
                PALYRA_ERROR_RETRYABLE);
}

}  // namespace

ToolsClient::ToolsClient(Host host) : host_(std::move(host)), merged_(merge_catalogue({})) {}

Status ToolsClient::start(std::vector<std::string> order) {
  order_ = std::move(order);
  auto watch = ServiceWatch::start(
      host_, PALYRA_SERVICE_TOOL, [this](bool added, const ServiceWatch::Publication& publication) {
        changed(added, std::string(publication.instance));
      });
  if (!watch.ok()) return watch.status();
  watch_ = std::move(*watch);
  return {};
}

void ToolsClient::stop() {
  watch_.reset();
  offers_.clear();
}

void ToolsClient::changed(bool added, const std::string& instance) {
  if (offers_.erase(instance) != 0) merge();
  if (!added) return;
  Result<Client> client = Client::acquire(host_, PALYRA_SERVICE_TOOL, instance);
  if (!client.ok()) {
    host_.warn("tools cannot be used",
               {{"tools", instance}, {"reason", client.status().message()}});
    return;
  }
  Offer& offer = offers_[instance];
  offer.client = std::make_shared<Client>(std::move(*client));
  offer.number = ++last_number_;
  host_.spawn(list(instance, offer.number));
}

Task<void> ToolsClient::list(std::string instance, uint64_t number) {
  for (int attempt = 1; attempt <= kListAttempts; ++attempt) {
    auto found = offers_.find(instance);
    if (found == offers_.end() || found->second.number != number) co_return;
    const std::shared_ptr<Client> client = found->second.client;
    CallOptions options;
    options.deadline_ns = host_.clock().mono_now() + kToolListTimeout;
    const pb::ListToolsRequest request;
    auto response = co_await client->call(tool::kList, request, options);
    found = offers_.find(instance);
    if (found == offers_.end() || found->second.number != number) co_return;
    found->second.answered = true;
    if (response.ok()) {
      found->second.tools.assign(response->tools().begin(), response->tools().end());
      found->second.listed = true;
      merge();
      co_return;
    }
    host_.warn(
        "tools were not listed",
        {{"tools", instance}, {"attempt", attempt}, {"reason", response.status().message()}});
    if (attempt < kListAttempts) {
      co_await sleep_until(host_.executor(), host_.clock().mono_now() + attempt * kNanosPerSecond);
    }
  }
}

bool ToolsClient::settled() const {
  return std::all_of(offers_.begin(), offers_.end(),
                     [](const auto& entry) { return entry.second.answered; });
}

void ToolsClient::merge() {
  std::vector<InstanceTools> all;
  std::set<std::string> taken;
  const auto add = [&](const std::string& instance) {
    const auto found = offers_.find(instance);
    if (found == offers_.end() || !found->second.listed || !taken.insert(instance).second) return;
    all.push_back({instance, found->second.tools});
  };
  for (const std::string& instance : order_) add(instance);
  for (const auto& [instance, offer] : offers_) add(instance);
  merged_ = merge_catalogue(all);
  for (const std::string& warning : merged_.warnings) host_.warn(warning);
}

std::shared_ptr<Client> ToolsClient::find(const std::string& instance) const {
  const auto found = offers_.find(instance);
  return found == offers_.end() ? nullptr : found->second.client;
}

std::string ToolsClient::own_name(const std::string& instance, const std::string& name) const {
  const auto found = merged_.own_names.find({instance, name});
  return found == merged_.own_names.end() ? name : found->second;
}

Task<Result<pb::InvokeResult>> ToolsClient::invoke(
    std::string instance, pb::InvokeRequest request, int64_t deadline_ns,
    std::function<void(const pb::InvokeProgress&)> on_progress, CancelToken cancel) {
  const std::shared_ptr<Client> client = find(instance);
  if (!client) co_return tools_not_there(instance);
  request.set_name(own_name(instance, request.name()));
  CallOptions options;
  options.deadline_ns = deadline_ns;
  options.idempotency_key = request.idempotency_key();
  options.cancel = cancel;
  auto call = client->stream(tool::kInvoke, request, options);
  while (auto progress = co_await call.next()) {
    if (on_progress) on_progress(*progress);
  }
  co_return co_await call.result();
}

Task<Result<pb::VerifyCallResponse>> ToolsClient::verify(std::string instance,
                                                         pb::VerifyCallRequest request,
                                                         int64_t deadline_ns) {
  const std::shared_ptr<Client> client = find(instance);
  if (!client) co_return tools_not_there(instance);
  request.set_name(own_name(instance, request.name()));
  CallOptions options;
  options.deadline_ns = deadline_ns;
  co_return co_await client->call(tool::kVerify, request, options);
}

}  // namespace palyra::gateway
