// SPDX-License-Identifier: Apache-2.0
// palyra.journal/1, typed. Needs the generated palyra/service/v1/journal.pb.h.
#pragma once

#include "palyra/method.hpp"
#include "palyra/service/v1/journal.pb.h"
#include "palyra/services.h"

namespace palyra::journal {

namespace pb = ::palyra::service::v1;

inline constexpr Unary<pb::CommitRequest, pb::CommitResponse> kCommit{PALYRA_JOURNAL_COMMIT};
inline constexpr Unary<pb::ReadRequest, pb::ReadResponse> kRead{PALYRA_JOURNAL_READ};
inline constexpr Unary<pb::GetRequest, pb::GetResponse> kGet{PALYRA_JOURNAL_GET};
inline constexpr Unary<pb::QueryRequest, pb::QueryResponse> kQuery{PALYRA_JOURNAL_QUERY};
inline constexpr ServerStream<pb::WatchRequest, pb::WatchItem, pb::WatchResponse> kWatch{
    PALYRA_JOURNAL_WATCH};
inline constexpr Unary<pb::PutBlobRequest, pb::PutBlobResponse> kPutBlob{PALYRA_JOURNAL_PUT_BLOB};
inline constexpr Unary<pb::GetBlobRequest, pb::GetBlobResponse> kGetBlob{PALYRA_JOURNAL_GET_BLOB};
inline constexpr Unary<pb::DeclareRequest, pb::DeclareResponse> kDeclare{PALYRA_JOURNAL_DECLARE};
inline constexpr Unary<pb::VerifyRequest, pb::VerifyResponse> kVerify{PALYRA_JOURNAL_VERIFY};
inline constexpr Unary<pb::InfoRequest, pb::InfoResponse> kInfo{PALYRA_JOURNAL_INFO};

}  // namespace palyra::journal
