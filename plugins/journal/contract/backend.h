// A backend under the contract tests: how a store is made, and the few things the store's interface
// does not show. A new backend writes one of these and instantiates the suite.
#pragma once

#include "plugins/journal/contract/fakes.h"
#include "plugins/journal/segment_files.h"
#include "plugins/journal/store.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <utility>

namespace palyra::journal::contract {

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Store& store() = 0;
  // Lets the store do what it has to do; nothing for one with threads.
  virtual void pump() {}
  // False: the store belongs to one thread, the one that pumps.
  virtual bool has_threads() const { return true; }
  // Changes a stored payload behind the store's back.
  virtual void alter_payload(const std::string& stream, uint64_t seq,
                             const std::string& payload) = 0;
  // Loses the payload and the salt of a record.
  virtual void lose_payload(const std::string& stream, uint64_t seq) = 0;
  // The directory of segments, as another program sees it.
  virtual SegmentFiles& files() { return no_files_; }

  ManualClock clock;
  SeededRandom random;

  // Runs one call to its end.
  template <typename T, typename Fn>
  Result<T> call(Fn fn) {
    auto promise = std::make_shared<std::promise<Result<T>>>();
    auto future = promise->get_future();
    fn([promise](Result<T> result) { promise->set_value(std::move(result)); });
    pump();
    if (future.wait_for(std::chrono::seconds(60)) != std::future_status::ready) {
      return Status(Code::kDeadlineExceeded, "the store did not complete a call");
    }
    return future.get();
  }

  Result<v1::CommitResponse> commit(v1::CommitRequest request) {
    return call<v1::CommitResponse>([&](auto done) { store().commit(request, done); });
  }
  Result<v1::ReadResponse> read(v1::ReadRequest request) {
    return call<v1::ReadResponse>([&](auto done) { store().read(request, done); });
  }
  Result<v1::GetResponse> get(const std::string& collection, const std::string& key) {
    v1::GetRequest request;
    request.set_collection(collection);
    request.set_key(key);
    return call<v1::GetResponse>([&](auto done) { store().get(request, done); });
  }
  Result<v1::QueryResponse> query(v1::QueryRequest request) {
    return call<v1::QueryResponse>([&](auto done) { store().query(request, done); });
  }
  Result<v1::PutBlobResponse> put_blob(v1::PutBlobRequest request, std::string uploader = "hub") {
    return call<v1::PutBlobResponse>([&](auto done) { store().put_blob(request, uploader, done); });
  }
  Result<v1::GetBlobResponse> get_blob(v1::GetBlobRequest request) {
    return call<v1::GetBlobResponse>([&](auto done) { store().get_blob(request, done); });
  }
  Result<v1::DeclareResponse> declare(v1::DeclareRequest request) {
    return call<v1::DeclareResponse>([&](auto done) { store().declare(request, done); });
  }
  Result<v1::VerifyResponse> verify(const std::string& stream, uint64_t from_seq = 0) {
    v1::VerifyRequest request;
    request.set_stream(stream);
    request.set_from_seq(from_seq);
    return call<v1::VerifyResponse>([&](auto done) { store().verify(request, done); });
  }
  Result<v1::HeadsResponse> heads(v1::HeadsRequest request) {
    return call<v1::HeadsResponse>([&](auto done) { store().heads(request, done); });
  }
  Result<v1::VerifyStoreResponse> verify_store(uint64_t from = 0, uint64_t up_to = 0) {
    v1::VerifyStoreRequest request;
    request.set_from_position(from);
    request.set_up_to(up_to);
    return call<v1::VerifyStoreResponse>([&](auto done) { store().verify_store(request, done); });
  }
  Result<v1::ListStreamsResponse> list_streams(v1::ListStreamsRequest request) {
    return call<v1::ListStreamsResponse>([&](auto done) { store().list_streams(request, done); });
  }
  Result<v1::InfoResponse> info() {
    return call<v1::InfoResponse>([&](auto done) { store().info(done); });
  }
  Result<v1::CommitResponse> erase(EraseRequest request) {
    return call<v1::CommitResponse>([&](auto done) { store().erase(request, done); });
  }
  Result<v1::ArchiveResponse> archive(v1::ArchiveRequest request) {
    return call<v1::ArchiveResponse>([&](auto done) { store().archive(request, done); });
  }
  Result<v1::MaintainResponse> maintain(v1::MaintainRequest request) {
    return call<v1::MaintainResponse>([&](auto done) { store().maintain(request, done); });
  }
  Result<uint64_t> sweep(int64_t min_age_ns) {
    return call<uint64_t>([&](auto done) { store().sweep_blobs(min_age_ns, done); });
  }

 private:
  MemorySegmentFiles no_files_;
};

struct BackendFactory {
  const char* name;
  std::unique_ptr<Backend> (*make)();
};

// Instantiate with INSTANTIATE_TEST_SUITE_P(NAME, JournalContract, Values(BackendFactory{...})).
class JournalContract : public testing::TestWithParam<BackendFactory> {
 protected:
  JournalContract() : backend_(GetParam().make()) {}
  std::unique_ptr<Backend> backend_;
};

}  // namespace palyra::journal::contract
