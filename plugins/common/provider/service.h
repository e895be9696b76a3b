// ProviderService: a Provider as the service palyra.provider/1, in protobuf and JSON.
#pragma once

#include "palyra/raw_service.hpp"
#include "palyra/services.h"
#include "plugins/common/provider/provider.h"

namespace palyra::provider {

// On the lane. `provider` outlives it, and is destroyed (or given up) only after the last call; a
// turn whose sink is destroyed before its end completes UNAVAILABLE, retryable.
class ProviderService : public RawService {
 public:
  ProviderService(Host host, Provider& provider);

  // Errors as palyra_registry's publish.
  Status publish_all();
  // Withdraws; the provider is not called any more.
  void stop();

 private:
  Status start(const RawCall& call, Responder responder) override;
  void grant(palyra_handle op, uint32_t credits) override;
  void cancel(palyra_handle op) override;

  Provider* provider_;
};

}  // namespace palyra::provider
