// Every published palyra.provider/1 as the gateway's Providers.
#pragma once

#include "palyra/client.hpp"
#include "plugins/gateway/ports/ports.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace palyra::gateway {

// On the gateway's lane. A turn in flight keeps its client, so it goes on while the instance
// drains.
class ProvidersClient final : public Providers {
 public:
  explicit ProvidersClient(Host host) : host_(std::move(host)) {}

  // Begins to watch. Errors as the registry's watch.
  Status start();
  void stop();

  Task<ChatOutcome> chat(std::string instance,
                         Serialised<::palyra::service::v1::ChatRequest> request,
                         std::function<void(const ::palyra::service::v1::ChatEvent&)> on_event,
                         CancelToken cancel) override;
  Task<Result<::palyra::service::v1::ListModelsResponse>> models(std::string instance,
                                                                 bool probe) override;
  // By name.
  std::vector<std::string> instances() const override;

 private:
  struct Provider {
    Client client;
    std::optional<::palyra::service::v1::ListModelsResponse> models;
  };
  void changed(bool added, const std::string& instance);
  std::shared_ptr<Provider> find(const std::string& instance) const;

  const Host host_;
  std::unique_ptr<ServiceWatch> watch_;
  std::map<std::string, std::shared_ptr<Provider>> providers_;
};

}  // namespace palyra::gateway
