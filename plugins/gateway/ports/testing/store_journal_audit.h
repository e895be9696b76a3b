// The audit's port over a store in the same process, for tests.
#pragma once

#include "plugins/gateway/ports/journal_audit.h"
#include "plugins/journal/store.h"

#include <utility>

namespace palyra::gateway::testing {

class StoreJournalAudit : public JournalAudit {
 public:
  explicit StoreJournalAudit(palyra::journal::Store& store) : store_(store) {}

  Task<Result<palyra::service::v1::HeadsResponse>> heads(
      palyra::service::v1::HeadsRequest request) override {
    return call<palyra::service::v1::HeadsResponse>(&palyra::journal::Store::heads,
                                                    std::move(request));
  }
  Task<Result<palyra::service::v1::VerifyStoreResponse>> verify_store(
      palyra::service::v1::VerifyStoreRequest request) override {
    return call<palyra::service::v1::VerifyStoreResponse>(&palyra::journal::Store::verify_store,
                                                          std::move(request));
  }
  Task<Result<palyra::service::v1::ListStreamsResponse>> list_streams(
      palyra::service::v1::ListStreamsRequest request) override {
    return call<palyra::service::v1::ListStreamsResponse>(&palyra::journal::Store::list_streams,
                                                          std::move(request));
  }

 private:
  template <typename Response, typename Request>
  Task<Result<Response>> call(
      void (palyra::journal::Store::*method)(Request, palyra::journal::Done<Response>),
      Request request) {
    Slot<Result<Response>> slot;
    (store_.*method)(std::move(request),
                     [slot](Result<Response> result) { slot.set(std::move(result)); });
    co_return co_await slot;
  }

  palyra::journal::Store& store_;
};

}  // namespace palyra::gateway::testing
