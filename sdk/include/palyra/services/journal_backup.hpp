// SPDX-License-Identifier: Apache-2.0
// palyra.journal/1, backups and the check of the store, typed; for the gateway. Needs the generated
// palyra/service/v1/journal_backup.pb.h.
#pragma once

#include "palyra/method.hpp"
#include "palyra/service/v1/journal_backup.pb.h"
#include "palyra/services.h"

namespace palyra::journal {

namespace pb = ::palyra::service::v1;

inline constexpr Unary<pb::BackupRequest, pb::BackupResponse> kBackup{PALYRA_JOURNAL_BACKUP};
inline constexpr Unary<pb::CheckRequest, pb::CheckResponse> kCheck{PALYRA_JOURNAL_CHECK};

}  // namespace palyra::journal
