// What a provider plugin implements; ProviderService (service.h) puts it behind palyra.provider/1.
#pragma once

#include "palyra/service/v1/provider.pb.h"
#include "plugins/common/provider/turn_sink.h"

#include <cstdint>
#include <functional>
#include <memory>

namespace palyra::provider {

// Names a turn; chosen by the caller, unique while the provider lives.
using TurnId = uint64_t;

// All functions on the lane; sinks and callbacks are called on the lane, never inside chat() and
// list_models().
class Provider {
 public:
  using ModelsCallback = std::function<void(const service::v1::ListModelsResponse&)>;

  virtual ~Provider() = default;
  // One model turn. Never fails: what is wrong arrives at the sink. Destroying the sink unused
  // means that the provider was destroyed.
  virtual void chat(TurnId id, const service::v1::ChatRequest& request, uint32_t credits,
                    std::unique_ptr<TurnSink> sink) = 0;
  // More events may be sent. Unknown or ended turns: no-op.
  virtual void grant(TurnId id, uint32_t credits) = 0;
  // The turn ends CANCELLED soon. Unknown or ended turns: no-op.
  virtual void cancel(TurnId id) = 0;
  virtual void list_models(bool probe, ModelsCallback done) = 0;
  virtual service::v1::CountTokensResponse count_tokens(
      const service::v1::CountTokensRequest& request) const = 0;
};

}  // namespace palyra::provider
