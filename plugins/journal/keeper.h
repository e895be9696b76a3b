// Who looks after a store beside its users: backups, and the check of the whole.
#pragma once

#include "palyra/service/v1/journal_backup.pb.h"
#include "palyra/status.hpp"

namespace palyra::journal {

namespace v1 = palyra::service::v1;

// Any thread; both look at the disk and may take milliseconds.
class Keeper {
 public:
  virtual ~Keeper() = default;
  // Begins one; errors as BackupRequest says.
  virtual Result<v1::BackupResponse> backup(const v1::BackupRequest& request) = 0;
  virtual Result<v1::CheckResponse> check(const v1::CheckRequest& request) = 0;
};

}  // namespace palyra::journal
