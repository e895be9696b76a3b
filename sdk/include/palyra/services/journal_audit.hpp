// SPDX-License-Identifier: Apache-2.0
// The whole-store methods of palyra.journal/1, typed; only the gateway may call them. Needs the
// generated palyra/service/v1/journal_audit.pb.h.
#pragma once

#include "palyra/method.hpp"
#include "palyra/service/v1/journal_audit.pb.h"
#include "palyra/services.h"

namespace palyra::journal {

inline constexpr Unary<::palyra::service::v1::HeadsRequest, ::palyra::service::v1::HeadsResponse>
    kHeads{PALYRA_JOURNAL_HEADS};
inline constexpr Unary<::palyra::service::v1::VerifyStoreRequest,
                       ::palyra::service::v1::VerifyStoreResponse>
    kVerifyStore{PALYRA_JOURNAL_VERIFY_STORE};
inline constexpr Unary<::palyra::service::v1::ListStreamsRequest,
                       ::palyra::service::v1::ListStreamsResponse>
    kListStreams{PALYRA_JOURNAL_LIST_STREAMS};

}  // namespace palyra::journal
