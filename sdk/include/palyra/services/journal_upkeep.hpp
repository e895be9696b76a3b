// SPDX-License-Identifier: Apache-2.0
// palyra.journal/1, what only the gateway may call, typed. Needs the generated
// palyra/service/v1/journal_upkeep.pb.h.
#pragma once

#include "palyra/method.hpp"
#include "palyra/service/v1/journal_upkeep.pb.h"
#include "palyra/services.h"

namespace palyra::journal {

inline constexpr Unary<::palyra::service::v1::EraseRecordsRequest,
                       ::palyra::service::v1::CommitResponse>
    kErase{PALYRA_JOURNAL_ERASE};
inline constexpr Unary<::palyra::service::v1::ArchiveRequest,
                       ::palyra::service::v1::ArchiveResponse>
    kArchive{PALYRA_JOURNAL_ARCHIVE};
inline constexpr Unary<::palyra::service::v1::MaintainRequest,
                       ::palyra::service::v1::MaintainResponse>
    kMaintain{PALYRA_JOURNAL_MAINTAIN};

}  // namespace palyra::journal
