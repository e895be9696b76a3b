// Session: one conversation while it is in use.
#pragma once

#include "plugins/gateway/run/compile.h"
#include "plugins/gateway/session/documents.h"
#include "plugins/gateway/session/mutex.h"
#include "plugins/gateway/session/options.h"
#include "plugins/gateway/session/turns.h"
#include "plugins/gateway/session/view.h"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace palyra::gateway {

// One turn as context.
struct HistoryTurn {
  tape::TurnRef at;
  run::Piece piece;
};

// What a model may see of a conversation.
struct History {
  std::optional<run::Piece> pinned;
  std::optional<run::Piece> summary;  // of what is older than `turns`
  tape::Compacted compacted;          // the compaction that the summary comes from
  std::deque<HistoryTurn> turns;      // oldest first
  bool complete = true;               // they lead back to the summary, or to the beginning
};

// In a session's document. No turn = before the first.
void set_head(api::Session& doc, const tape::TurnRef& head);

// What is in memory of a session that is in use. Always: `doc` and `seq` are what is durable;
// records of its stream are written only by who holds lock(); every commit carries the lease's
// fencing token, so that a session which another daemon took over changes nothing and is `lost`
// (drop it and load it anew). On the gateway's lane, held by shared_ptr.
class Session {
 public:
  // A new session (nothing stored yet) has seq 0.
  Session(World& world, const Options& options, api::Session doc, uint64_t seq)
      : doc_(std::move(doc)),
        seq_(seq),
        world_(world),
        options_(options),
        mutex_(world.executor),
        lease_mutex_(world.executor) {
    if (seq_ == 0) view_.emplace();
  }

  static Task<Result<std::shared_ptr<Session>>> load(World& world, const Options& options,
                                                     std::string session_id);

  // Takes the lease, if it is not held, and reads what is durable under it: from then on nobody
  // else writes records of this session. ABORTED while another daemon holds it.
  Task<Status> take();

  const std::string& id() const { return doc_.session_id(); }
  const api::Session& doc() const { return doc_; }
  uint64_t seq() const { return seq_; }
  uint64_t token() const { return token_; }
  bool lost() const { return lost_; }
  // As it was read: there may be runs of it that have not ended.
  bool run_may_be_active() const { return run_may_be_active_; }
  bool idle() const { return active_run.empty() && queue.empty(); }

  Task<Mutex::Guard> lock() { return mutex_.lock(); }

  // Adds the fence, or takes or renews the lease, and commits. The commit that takes it fails with
  // FAILED_PRECONDITION if the session's stream is not as it was read. Errors pass through; after a
  // lost fence or sequence call give_up().
  Task<Result<service::CommitResponse>> commit(service::CommitRequest request);
  // After a commit with records of the session's stream, or its document.
  void committed(const service::CommitResponse& response, api::Session doc);
  void give_up() { lost_ = true; }
  // What the stored document may not say yet: this run is on.
  void runs(const std::string& run_id) { doc_.set_active_run(run_id); }

  // Earlier turns as context, walking back from the head until `tokens` are reached, or a summary,
  // or the beginning. Read once and kept for the largest window asked for; read again for a larger
  // one only if there is more.
  Task<Result<History>> history(int64_t tokens);
  // What is kept for history(), if it leads back to a summary or to the beginning and is still so;
  // else null. It may be more than a small window showed. For use at once.
  const History* whole_history() const {
    return history_ && history_->complete ? &*history_ : nullptr;
  }
  // As they were said, whatever is compacted; read anew.
  Task<Result<History>> originals(int64_t tokens);
  void add_turn(HistoryTurn turn);
  // Read again when next wanted: the head or the view is another now.
  void forget_history();

  // Loaded once; changed under lock() only, by what committed() is told.
  Task<Result<store::SessionView>> view();
  void set_view(store::SessionView view);

  // Where the newest turn's record is; without seq in documents from before there were branches.
  tape::TurnRef head() const;

  // Runs in order of arrival: the one that is active (empty = none) and those that wait.
  std::string active_run;
  std::deque<std::string> queue;
  // When somebody looks whether the first of the queue may begin, by mono time; 0 = nobody will.
  int64_t looks_at_ns = 0;
  uint64_t rests = 0;  // how often it was left without runs

 private:
  Task<Status> read();
  Task<Result<service::CommitResponse>> write(service::CommitRequest request, bool read_before);
  Task<Result<History>> read_history(int64_t tokens, store::SessionView view);
  Task<Result<std::optional<run::Piece>>> read_summary(tape::Compacted compacted);

  api::Session doc_;
  uint64_t seq_;
  World& world_;
  const Options& options_;
  Mutex mutex_;
  Mutex lease_mutex_;
  uint64_t token_ = 0;
  int64_t lease_renewed_ns_ = 0;
  bool lost_ = false;
  bool run_may_be_active_ = false;

  std::optional<History> history_;
  int64_t history_window_ = 0;  // the largest one, tokens, that it is enough for
  int64_t history_tokens_ = 0;  // of its turns
  uint64_t forgotten_ = 0;      // how often it was
  std::optional<store::SessionView> view_;
};

}  // namespace palyra::gateway
