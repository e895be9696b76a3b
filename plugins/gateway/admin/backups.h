// Backups as every transport asks for them. On the gateway's lane.
#pragma once

#include "palyra/gateway/v1/backup.pb.h"
#include "plugins/gateway/gateway.h"
#include "plugins/gateway/ports/journal_backup.h"
#include "plugins/gateway/streams.h"

namespace palyra::gateway {

// Each call needs the scope admin, whatever the transport has checked.
class Backups {
 public:
  explicit Backups(JournalBackup& journal) : journal_(journal) {}

  Task<Result<api::CreateBackupResponse>> create(Caller caller, api::CreateBackupRequest request);
  Task<Result<api::ListBackupsResponse>> list(Caller caller, api::ListBackupsRequest request);
  // NOT_FOUND, DATA_LOSS (it changed meanwhile), CANCELLED (nobody reads any more).
  Task<Status> download(Caller caller, api::DownloadBackupRequest request,
                        Send<api::BackupChunk> send);

 private:
  JournalBackup& journal_;
};

}  // namespace palyra::gateway
