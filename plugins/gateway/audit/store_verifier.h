// Verification of the whole store: every record against its hash, every checkpoint against its
// signature, its predecessor and the records it names, the last one against a witness.
#pragma once

#include "plugins/gateway/audit/audit.h"
#include "plugins/gateway/audit/checkpoint.h"
#include "plugins/gateway/ports/journal_audit.h"
#include "plugins/gateway/ports/ports.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace palyra::gateway::audit {

// One pass; on the gateway's lane. Memory does not grow with the store: pages of the journal, then
// one checkpoint at a time.
class StoreVerifier {
 public:
  // `keys`: public keys, 32 bytes each, that may have signed.
  StoreVerifier(Executor& executor, Journal& journal, JournalAudit& audit,
                std::set<std::string> keys, std::optional<Link> witness);

  // From an event's cursor; empty = the beginning. INVALID_ARGUMENT for any other text; from run()
  // for a place behind the store's end.
  Status resume(const std::string& cursor);
  // Writes events; the last has the result. CANCELLED if nobody reads any more.
  Task<Status> run(Send<api::VerifyStoreEvent> send);

 private:
  Task<Status> check_records(Send<api::VerifyStoreEvent> send);
  Task<Status> look_up_to();
  Task<Status> pass(Send<api::VerifyStoreEvent> send);
  void tell_unread();
  Task<Status> check_archived_stream(palyra::service::v1::StreamInfo info);
  Task<Status> check_archive(Send<api::VerifyStoreEvent> send);
  Task<Status> check_checkpoints(Send<api::VerifyStoreEvent> send);
  Task<Status> read_copy();
  void check_copy();
  Task<Status> check_heads(tape::Checkpoint checkpoint, std::optional<uint64_t> since);
  Task<Status> check_window(tape::Checkpoint checkpoint, uint64_t since);
  Task<Status> find_elsewhere(tape::StreamHead head, uint64_t number);
  void check_link(const Link& link, uint64_t seq);
  void check_witness();
  Task<Status> count_erasures();
  void bad(const std::string& stream, uint64_t seq, std::string reason);
  // bad(), once for a stream.
  void bad_stream(const std::string& stream, uint64_t seq, std::string reason);
  api::VerifyStoreEvent event();
  void result(api::VerifyStoreResult& out) const;

  Executor& executor_;
  Journal& journal_;
  JournalAudit& audit_;
  const std::set<std::string> keys_;
  const std::optional<Link> witness_;

  // The pass over records; what a cursor holds.
  uint64_t position_ = 1;
  uint64_t records_ = 0;
  uint64_t erased_ = 0;
  uint64_t bad_ = 0;
  uint64_t absent_ = 0;
  uint64_t archived_ = 0;

  // Positions that could not be read, not told yet; 0 = none.
  uint64_t unread_from_ = 0;
  uint64_t unread_to_ = 0;
  std::string unread_words_;

  uint64_t up_to_ = 0;
  uint64_t bytes_ = 0;
  uint64_t checkpoints_ = 0;
  std::optional<Link> last_;
  // Those that signed checkpoints.
  std::set<std::string> keys_seen_;
  // Of records of checkpoints that last_ does not cover, its own among them.
  std::vector<uint64_t> own_;
  bool witness_seen_ = false;
  // The store's document with the last checkpoint; nothing if it has none or it is no checkpoint.
  std::optional<Link> copy_;
  bool copy_seen_ = false;
  // Streams told once.
  std::set<std::string> told_;
  std::vector<api::BadPlace> fresh_;
  std::vector<std::string> notes_;
};

}  // namespace palyra::gateway::audit
