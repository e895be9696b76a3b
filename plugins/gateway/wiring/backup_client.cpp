#include "plugins/gateway/wiring/backup_client.h"

#include "palyra/services/journal_backup.hpp"

#include <utility>

namespace palyra::gateway {

namespace pb = ::palyra::service::v1;

Status BackupClient::connect() {
  if (client_) return {};
  Result<Client> client = Client::acquire(host_, PALYRA_SERVICE_JOURNAL);
  if (!client.ok()) return client.status();
  client_.emplace(std::move(*client));
  return {};
}

Task<Result<pb::BackupResponse>> BackupClient::backup(pb::BackupRequest request) {
  if (Status status = connect(); !status.ok()) co_return status;
  co_return co_await client_->call(journal::kBackup, request);
}

Task<Result<pb::CheckResponse>> BackupClient::check(pb::CheckRequest request) {
  if (Status status = connect(); !status.ok()) co_return status;
  co_return co_await client_->call(journal::kCheck, request);
}

}  // namespace palyra::gateway
