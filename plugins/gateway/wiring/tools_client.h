// Every published palyra.tool/1 as the gateway's Tools.
#pragma once

#include "palyra/client.hpp"
#include "plugins/gateway/ports/ports.h"
#include "plugins/gateway/wiring/catalogue.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace palyra::gateway {

// On the gateway's lane. An instance's tools are in the catalogue from its answer to List, which is
// asked when it appears, until it goes. A call in flight keeps its client.
class ToolsClient final : public Tools {
 public:
  explicit ToolsClient(Host host);

  // Begins to watch. `order` is the instances in the order of the configuration; others come after
  // them, by name. Errors as the registry's watch.
  Status start(std::vector<std::string> order);
  void stop();

  // Every instance that is there has answered once, well or badly.
  bool settled() const;

  std::shared_ptr<const Catalogue> catalogue() const override { return merged_.catalogue; }
  Task<Result<::palyra::service::v1::InvokeResult>> invoke(
      std::string instance, ::palyra::service::v1::InvokeRequest request, int64_t deadline_ns,
      std::function<void(const ::palyra::service::v1::InvokeProgress&)> on_progress,
      CancelToken cancel) override;
  Task<Result<::palyra::service::v1::VerifyCallResponse>> verify(
      std::string instance, ::palyra::service::v1::VerifyCallRequest request,
      int64_t deadline_ns) override;

 private:
  struct Offer {
    std::shared_ptr<Client> client;
    uint64_t number = 0;  // which appearance of the instance this is
    bool answered = false;
    bool listed = false;
    std::vector<::palyra::service::v1::ToolInfo> tools;
  };
  void changed(bool added, const std::string& instance);
  Task<void> list(std::string instance, uint64_t number);
  void merge();
  std::shared_ptr<Client> find(const std::string& instance) const;
  std::string own_name(const std::string& instance, const std::string& name) const;

  const Host host_;
  std::vector<std::string> order_;
  std::unique_ptr<ServiceWatch> watch_;
  std::map<std::string, Offer> offers_;
  uint64_t last_number_ = 0;
  MergedCatalogue merged_;
};

}  // namespace palyra::gateway
