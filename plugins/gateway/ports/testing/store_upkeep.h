// The gateway's upkeep over a store in the same process, for tests.
#pragma once

#include "plugins/gateway/ports/upkeep.h"
#include "plugins/journal/store.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway::testing {

class StoreUpkeep : public Upkeep {
 public:
  explicit StoreUpkeep(palyra::journal::Store& store) : store_(store) {}

  Task<Result<::palyra::service::v1::CommitResponse>> erase(
      ::palyra::service::v1::EraseRecordsRequest request) override {
    palyra::journal::EraseRequest erase{request.stream(),
                                        std::max<uint64_t>(request.first_seq(), 1),
                                        request.last_seq(), request.reason(), request.principal()};
    Slot<Result<::palyra::service::v1::CommitResponse>> slot;
    store_.erase(std::move(erase), [slot](Result<::palyra::service::v1::CommitResponse> result) {
      slot.set(std::move(result));
    });
    co_return co_await slot;
  }
  Task<Result<::palyra::service::v1::ArchiveResponse>> archive(
      ::palyra::service::v1::ArchiveRequest request) override {
    Slot<Result<::palyra::service::v1::ArchiveResponse>> slot;
    store_.archive(std::move(request),
                   [slot](Result<::palyra::service::v1::ArchiveResponse> result) {
                     slot.set(std::move(result));
                   });
    co_return co_await slot;
  }
  Task<Result<::palyra::service::v1::MaintainResponse>> maintain(
      ::palyra::service::v1::MaintainRequest request) override {
    Slot<Result<::palyra::service::v1::MaintainResponse>> slot;
    store_.maintain(std::move(request),
                    [slot](Result<::palyra::service::v1::MaintainResponse> result) {
                      slot.set(std::move(result));
                    });
    co_return co_await slot;
  }

 private:
  palyra::journal::Store& store_;
};

}  // namespace palyra::gateway::testing
