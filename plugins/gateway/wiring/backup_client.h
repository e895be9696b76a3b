// The bound palyra.journal/1 as the gateway's JournalBackup.
#pragma once

#include "palyra/client.hpp"
#include "plugins/gateway/ports/journal_backup.h"

#include <optional>

namespace palyra::gateway {

// On the gateway's lane. May be made before a journal is there: calls then end UNAVAILABLE.
class BackupClient final : public JournalBackup {
 public:
  explicit BackupClient(Host host) : host_(std::move(host)) {}

  Task<Result<::palyra::service::v1::BackupResponse>> backup(
      ::palyra::service::v1::BackupRequest request) override;
  Task<Result<::palyra::service::v1::CheckResponse>> check(
      ::palyra::service::v1::CheckRequest request) override;

 private:
  Status connect();

  const Host host_;
  std::optional<Client> client_;
};

}  // namespace palyra::gateway
