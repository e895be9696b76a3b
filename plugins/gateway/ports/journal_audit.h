// What the audit needs of the journal beside ports.h. On the gateway's lane.
#pragma once

#include "palyra/service/v1/journal_audit.pb.h"
#include "palyra/status.hpp"
#include "palyra/task.hpp"

namespace palyra::gateway {

// palyra.journal/1, whole-store methods; each call is one page of work. Errors pass through.
class JournalAudit {
 public:
  virtual ~JournalAudit() = default;
  virtual Task<Result<::palyra::service::v1::HeadsResponse>> heads(
      ::palyra::service::v1::HeadsRequest request) = 0;
  virtual Task<Result<::palyra::service::v1::VerifyStoreResponse>> verify_store(
      ::palyra::service::v1::VerifyStoreRequest request) = 0;
  virtual Task<Result<::palyra::service::v1::ListStreamsResponse>> list_streams(
      ::palyra::service::v1::ListStreamsRequest request) = 0;
};

}  // namespace palyra::gateway
