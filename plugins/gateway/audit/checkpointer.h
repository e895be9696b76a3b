// Makes checkpoints: signed statements about the heads of the streams that changed.
#pragma once

#include "palyra/task.hpp"
#include "palyra/world.hpp"
#include "plugins/gateway/audit/checkpoint.h"
#include "plugins/gateway/audit/signing_key.h"
#include "plugins/gateway/ports/journal_audit.h"
#include "plugins/gateway/ports/ports.h"
#include "plugins/gateway/session/mutex.h"

#include <functional>
#include <optional>
#include <string>
#include <unordered_set>

namespace palyra::gateway::audit {

// Always: checkpoints are numbered without gap, each names the one before by its hash, and each
// covers every record from where the one before ended up to its own `position`; so a crash at any
// point only means that the next one covers more. One that would name nothing but checkpoints is
// not made: an idle daemon writes nothing. No timer runs unless something changed.
// On the gateway's lane. Two daemons on one store are kept apart by the version of a document. That
// document is only a copy: the newest checkpoint is the stream's, and neither is believed unless
// its signature is right and the store reaches as far as it says.
class Checkpointer {
 public:
  // Where the line of the last checkpoint is kept, beside the stream, so that whoever looks into
  // the store finds it.
  static constexpr char kCollection[] = "audit_state";
  static constexpr char kKey[] = "checkpoint";

  struct Options {
    int64_t every_ns = 300 * kNanosPerSecond;
    // So many changed streams do not wait for the timer, but at least this long between two.
    size_t streams = 256;
    int64_t apart_ns = kNanosPerSecond;
  };

  Checkpointer(const Clock& clock, Executor& executor, Journal& journal, JournalAudit& audit,
               SigningKey key, Options options);
  ~Checkpointer();
  Checkpointer(const Checkpointer&) = delete;

  const SigningKey& key() const { return key_; }
  // The newest checkpoint, as far as it is known.
  const std::optional<Link>& last() const { return last_; }
  // What somebody else made of the last checkpoint, in a sentence; empty = nothing was seen since
  // the start.
  const std::string& tampered() const { return tampered_; }
  // What a timer's attempt ended with, if it failed.
  void on_failure(std::function<void(const Status&)> tell) { tell_ = std::move(tell); }
  // tampered(), when it is seen first.
  void on_tampered(std::function<void(const std::string&)> tell) {
    tell_tampered_ = std::move(tell);
  }

  // The journal is there: what is not covered yet is covered with the next checkpoint.
  Task<Status> start();
  // A commit is durable.
  void committed(const service::v1::CommitResponse& response);
  // Covers everything that is visible now. The last checkpoint; nothing if there is none because
  // the store is empty.
  Task<Result<std::optional<Link>>> cover();

 private:
  Task<Status> load();
  Task<Result<std::optional<Link>>> find_last(uint64_t position);
  void found_tampered(std::string sentence);
  Task<Status> cover_now();
  Task<Result<uint64_t>> add(service::v1::HeadsResponse heads);
  Task<void> due();
  void arm(int64_t at_ns);
  void disarm();

  const Clock& clock_;
  Executor& executor_;
  Journal& journal_;
  JournalAudit& audit_;
  const SigningKey key_;
  const Options options_;
  std::function<void(const Status&)> tell_;
  std::function<void(const std::string&)> tell_tampered_;
  std::string tampered_;
  Mutex mutex_;

  bool loaded_ = false;
  std::optional<Link> last_;
  uint64_t version_ = 0;  // of the document; 0 = there is none

  // Of streams that changed since the last checkpoint, up to options_.streams.
  std::unordered_set<size_t> changed_;
  TimerId timer_ = 0;
  int64_t timer_at_ = 0;
  int64_t made_at_ = 0;
  TaskScope tasks_;
};

}  // namespace palyra::gateway::audit
