// What looks after the journal as a whole: archiving, erasing, giving back space.
#pragma once

#include "palyra/service/v1/journal_upkeep.pb.h"
#include "palyra/status.hpp"
#include "palyra/task.hpp"

namespace palyra::gateway {

// Methods of palyra.journal/1 that only the gateway may call; on its lane. Errors pass through.
class Upkeep {
 public:
  virtual ~Upkeep() = default;
  virtual Task<Result<::palyra::service::v1::CommitResponse>> erase(
      ::palyra::service::v1::EraseRecordsRequest request) = 0;
  virtual Task<Result<::palyra::service::v1::ArchiveResponse>> archive(
      ::palyra::service::v1::ArchiveRequest request) = 0;
  virtual Task<Result<::palyra::service::v1::MaintainResponse>> maintain(
      ::palyra::service::v1::MaintainRequest request) = 0;
};

}  // namespace palyra::gateway
