// The store of truth as its users see it, whatever keeps the bytes: what palyra.journal/1 promises
// (proto/palyra/service/v1/journal.proto), as C++.
#pragma once

#include "palyra/service/v1/journal.pb.h"
#include "palyra/service/v1/journal_audit.pb.h"
#include "palyra/service/v1/journal_upkeep.pb.h"
#include "palyra/status.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace palyra::journal {

namespace v1 = palyra::service::v1;

template <typename T>
using Done = std::function<void(Result<T>)>;

// A subscription. Items flow by credits: one credit, one item. Functions from any thread.
class Watch {
 public:
  virtual ~Watch() = default;
  virtual void grant(uint32_t credits) = 0;
  // Ends the watch: `done` gets CANCELLED, no item follows it. Idempotent.
  virtual void cancel() = 0;
};

struct WatchCallbacks {
  // Never two at once.
  std::function<void(v1::WatchItem)> item;
  // Exactly once, unless the store is destroyed first.
  std::function<void(Status)> done;
};

// What erase() removes and why; the reason and the principal are recorded in the stream. last_seq
// 0: to the head.
struct EraseRequest {
  std::string stream;
  uint64_t first_seq = 0;
  uint64_t last_seq = 0;
  std::string reason;
  std::string principal;
};

// Every function may be called from any thread and returns at once; its completion runs exactly
// once, never inside the call, on a thread of the store, where it must not block. Whether the
// caller may touch the names in a request is not asked here: see confine.h.
//
// A completed commit is durable and visible to every read that begins afterwards. A failed one has
// changed nothing. Codes: INVALID_ARGUMENT (a limit), FAILED_PRECONDITION (sequence, version,
// token, undeclared index, audited collection without a record), ABORTED (a lease of somebody
// else), ALREADY_EXISTS (unique index), RESOURCE_EXHAUSTED (disk full, or too much waits:
// retryable), DATA_LOSS (damaged file), UNAVAILABLE (closing).
class Store {
 public:
  virtual ~Store() = default;

  virtual void commit(v1::CommitRequest request, Done<v1::CommitResponse> done) = 0;
  virtual void read(v1::ReadRequest request, Done<v1::ReadResponse> done) = 0;
  virtual void get(v1::GetRequest request, Done<v1::GetResponse> done) = 0;
  virtual void query(v1::QueryRequest request, Done<v1::QueryResponse> done) = 0;
  // Uploads of different uploaders (instance names) never mix.
  virtual void put_blob(v1::PutBlobRequest request, std::string uploader,
                        Done<v1::PutBlobResponse> done) = 0;
  virtual void get_blob(v1::GetBlobRequest request, Done<v1::GetBlobResponse> done) = 0;
  virtual void declare(v1::DeclareRequest request, Done<v1::DeclareResponse> done) = 0;
  virtual void verify(v1::VerifyRequest request, Done<v1::VerifyResponse> done) = 0;
  virtual void info(Done<v1::InfoResponse> done) = 0;

  // Begins with no credit.
  virtual std::shared_ptr<Watch> watch(v1::WatchRequest request, WatchCallbacks callbacks) = 0;

  // Removes payloads and salts for good, from the archive too, and appends the record that says so,
  // in one commit; the result is that commit's. The chain still verifies. OUT_OF_RANGE if the range
  // is not in the stream, NOT_FOUND for an unknown stream and if the file of an archived part of it
  // is missing.
  virtual void erase(EraseRequest request, Done<v1::CommitResponse> done) = 0;

  // What verification and export need: journal_audit.proto. Each call does one page of work.
  virtual void heads(v1::HeadsRequest request, Done<v1::HeadsResponse> done) = 0;
  virtual void verify_store(v1::VerifyStoreRequest request, Done<v1::VerifyStoreResponse> done) = 0;
  virtual void list_streams(v1::ListStreamsRequest request, Done<v1::ListStreamsResponse> done) = 0;
  // Removes blobs that are at least `min_age_ns` old and that no payload or document names, as 32
  // bytes or in lower-case hex. The result is how many.
  virtual void sweep_blobs(int64_t min_age_ns, Done<uint64_t> done) = 0;
  // Moves the oldest records of a stream, one segment, into a file; see journal_upkeep.proto.
  // NOT_FOUND for an unknown stream.
  virtual void archive(v1::ArchiveRequest request, Done<v1::ArchiveResponse> done) = 0;
  virtual void maintain(v1::MaintainRequest request, Done<v1::MaintainResponse> done) = 0;
};

}  // namespace palyra::journal
