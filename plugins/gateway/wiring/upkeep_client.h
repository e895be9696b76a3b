// The bound palyra.journal/1 as the gateway's Upkeep.
#pragma once

#include "palyra/client.hpp"
#include "plugins/gateway/ports/upkeep.h"

#include <optional>
#include <utility>

namespace palyra::gateway {

// On the gateway's lane. May be made before a journal is there: calls then end UNAVAILABLE.
class UpkeepClient final : public Upkeep {
 public:
  explicit UpkeepClient(Host host) : host_(std::move(host)) {}

  Task<Result<::palyra::service::v1::CommitResponse>> erase(
      ::palyra::service::v1::EraseRecordsRequest request) override;
  Task<Result<::palyra::service::v1::ArchiveResponse>> archive(
      ::palyra::service::v1::ArchiveRequest request) override;
  Task<Result<::palyra::service::v1::MaintainResponse>> maintain(
      ::palyra::service::v1::MaintainRequest request) override;

 private:
  template <typename Req, typename Res>
  Task<Result<Res>> call(Unary<Req, Res> method, Req request);

  const Host host_;
  std::optional<Client> client_;
};

}  // namespace palyra::gateway
