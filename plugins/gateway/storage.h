// What one may do with the store: the face of StorageService.
#pragma once

#include "palyra/gateway/v1/storage.pb.h"
#include "plugins/gateway/gateway.h"

namespace palyra::gateway {

// As Gateway: one instance, on the gateway's lane.
class Storage {
 public:
  virtual ~Storage() = default;

  virtual Task<Result<api::EraseResponse>> erase_session(Caller caller,
                                                         api::EraseSessionRequest request) = 0;
  virtual Task<Result<api::EraseResponse>> erase_run(Caller caller,
                                                     api::EraseRunRequest request) = 0;
  virtual Task<Result<api::StorageStatus>> status(Caller caller,
                                                  api::GetStorageRequest request) = 0;
  virtual Task<Result<api::ArchiveSessionsResponse>> archive(
      Caller caller, api::ArchiveSessionsRequest request) = 0;
  virtual Task<Result<api::VacuumResponse>> vacuum(Caller caller, api::VacuumRequest request) = 0;
};

}  // namespace palyra::gateway
