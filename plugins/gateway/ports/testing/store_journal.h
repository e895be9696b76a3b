// The gateway's journal, with what the audit needs of it, over a store in the same process, for
// tests and the simulation.
#pragma once

#include "palyra/task.hpp"
#include "plugins/common/digest/digest.h"
#include "plugins/gateway/ports/journal_audit.h"
#include "plugins/gateway/ports/ports.h"
#include "plugins/journal/store.h"

#include <algorithm>
#include <string>
#include <utility>

namespace palyra::gateway::testing {

// On the lane on which the store completes. A completion that never comes (a crash) leaves its task
// suspended; whoever owns the tasks ends them.
class StoreJournal : public Journal, public JournalAudit {
 public:
  explicit StoreJournal(palyra::journal::Store& store) : store_(store) {}

  Task<Result<palyra::service::v1::CommitResponse>> commit(
      palyra::service::v1::CommitRequest request) override {
    ++commits_;
    return call<palyra::service::v1::CommitResponse>(&palyra::journal::Store::commit,
                                                     std::move(request));
  }
  Task<Result<palyra::service::v1::ReadResponse>> read(
      palyra::service::v1::ReadRequest request) override {
    ++reads_;
    return call<palyra::service::v1::ReadResponse>(&palyra::journal::Store::read,
                                                   std::move(request));
  }
  Task<Result<palyra::service::v1::GetResponse>> get(
      palyra::service::v1::GetRequest request) override {
    return call<palyra::service::v1::GetResponse>(&palyra::journal::Store::get, std::move(request));
  }
  Task<Result<palyra::service::v1::QueryResponse>> query(
      palyra::service::v1::QueryRequest request) override {
    return call<palyra::service::v1::QueryResponse>(&palyra::journal::Store::query,
                                                    std::move(request));
  }
  Task<Result<palyra::service::v1::VerifyResponse>> verify(
      palyra::service::v1::VerifyRequest request) override {
    return call<palyra::service::v1::VerifyResponse>(&palyra::journal::Store::verify,
                                                     std::move(request));
  }
  Task<Result<palyra::service::v1::InfoResponse>> info() override {
    Slot<Result<palyra::service::v1::InfoResponse>> slot;
    store_.info(
        [slot](Result<palyra::service::v1::InfoResponse> result) { slot.set(std::move(result)); });
    co_return co_await slot;
  }
  Task<Status> declare(palyra::service::v1::DeclareRequest request) override {
    auto declared = co_await call<palyra::service::v1::DeclareResponse>(
        &palyra::journal::Store::declare, std::move(request));
    co_return declared.status();
  }
  Task<Result<std::string>> put_blob(std::string data) override {
    const std::string name = digest::sha256(data);
    size_t offset = 0;
    do {
      palyra::service::v1::PutBlobRequest request;
      const size_t size = std::min<size_t>(data.size() - offset, 1024 * 1024);
      request.set_digest(name);
      request.set_offset(offset);
      request.set_data(data.substr(offset, size));
      offset += size;
      request.set_last(offset == data.size());
      Slot<Result<palyra::service::v1::PutBlobResponse>> slot;
      store_.put_blob(std::move(request), "gateway",
                      [slot](Result<palyra::service::v1::PutBlobResponse> result) {
                        slot.set(std::move(result));
                      });
      const auto answer = co_await slot;
      if (!answer.ok()) co_return answer.status();
      if (answer.value().exists()) break;
    } while (offset < data.size());
    co_return name;
  }
  Task<Result<std::string>> get_blob(std::string digest) override {
    std::string out;
    for (;;) {
      palyra::service::v1::GetBlobRequest request;
      request.set_digest(digest);
      request.set_offset(out.size());
      auto part = co_await call<palyra::service::v1::GetBlobResponse>(
          &palyra::journal::Store::get_blob, std::move(request));
      if (!part.ok()) co_return part.status();
      out += part->data();
      if (part->data().empty() || out.size() >= part->size()) co_return out;
    }
  }

  // JournalAudit.
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

  size_t commits() const { return commits_; }
  size_t reads() const { return reads_; }

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
  size_t commits_ = 0;
  size_t reads_ = 0;
};

}  // namespace palyra::gateway::testing
