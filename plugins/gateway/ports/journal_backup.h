// What administration asks the journal about backups and its own state. On the gateway's lane.
#pragma once

#include "palyra/service/v1/journal_backup.pb.h"
#include "palyra/status.hpp"
#include "palyra/task.hpp"

namespace palyra::gateway {

// palyra.journal/1, methods BACKUP and CHECK. Errors pass through unchanged.
class JournalBackup {
 public:
  virtual ~JournalBackup() = default;
  virtual Task<Result<::palyra::service::v1::BackupResponse>> backup(
      ::palyra::service::v1::BackupRequest request) = 0;
  virtual Task<Result<::palyra::service::v1::CheckResponse>> check(
      ::palyra::service::v1::CheckRequest request) = 0;
};

}  // namespace palyra::gateway
