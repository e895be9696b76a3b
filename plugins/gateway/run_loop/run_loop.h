// RunLoop: the coroutine of one run.
#pragma once

#include "plugins/gateway/delivery/hub.h"
#include "plugins/gateway/run/evolve.h"
#include "plugins/gateway/run_loop/context_gatherer.h"
#include "plugins/gateway/run_loop/environment.h"
#include "plugins/gateway/session/session.h"
#include "plugins/gateway/session/uncovered.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace palyra::gateway {

// Folds, decides, appends, launches; see the heart of the architecture. Always: an effect is
// launched, and a watcher told, only after the records that say so are durable; a commit that fails
// for its sequence or fence ends the loop without another write; one that fails for want of a
// journal or disk is tried again for as long as it takes. Effects that nobody outside can observe
// (context, policy) run inline, so that their start and result share a commit.
// On the gateway's lane, held by shared_ptr; run() is spawned once.
class RunLoop : public std::enable_shared_from_this<RunLoop> {
 public:
  // `state` is the fold of what is durable; `doc` the run's document, with a state of UNSPECIFIED
  // if it is not stored yet.
  RunLoop(Environment& environment, std::shared_ptr<Session> session, std::shared_ptr<RunHub> hub,
          run::State state, api::Run doc);
  ~RunLoop();

  // What goes into the first commit beside the run's own records.
  struct Opening {
    service::CommitRequest commit;
    std::optional<api::Session> session_doc;  // as it is after that commit
    Mutex::Guard guard;                       // of the session, until that commit is durable
    std::vector<tape::RunEvent> events;
    // Gives up if the first commit fails, whatever the reason.
    bool admission = false;
    std::optional<Slot<Result<service::CommitResponse>>> committed;
  };
  // Ends with the run, or when the session is lost or the gateway stops.
  Task<void> run(Opening opening);

  // A result or a wish from outside; appended when the loop gets to it.
  void post(tape::RunEvent event);
  // Durable when it answers; the run may have ended otherwise by then. Not OK if the daemon stops
  // first.
  Task<Status> cancel(std::string principal, std::string reason);
  // Durable when it answers. FAILED_PRECONDITION if it is decided or no longer asked.
  Task<Result<api::Approval>> decide(tape::ApprovalDecided decision);
  // One more message for the run that is under way. Durable when it answers: its global position.
  // ABORTED if the run ended or is being stopped first: it is to be taken elsewhere.
  // RESOURCE_EXHAUSTED if as many joined as may. After another daemon, or another session, took the
  // key: FAILED_PRECONDITION.
  struct Joining {
    tape::InputAdded input;
    std::string idempotency_key;  // as the client said it
    std::string key;              // of the collection `inputs`; empty = none
  };
  Task<Result<uint64_t>> join(Joining joining);
  // A message that joined while the run waits: durable already, by who holds the session's lock.
  void take_input(tape::RunEvent event, int64_t wall_ns);
  // While more messages may join a run that waits, by mono time; until_ns 0 = it may begin.
  struct Window {
    int64_t opened_ns = 0;
    int64_t until_ns = 0;
  };
  Window joinable;
  // Known pending approvals of a recovered run.
  void know_approval(api::Approval approval);
  // Text that was shown of the attempt that was cut off, with its stored document.
  void know_partial() { partial_stored_ = true; }
  // The stored document is gone with the next commit, waiters are told, timers end; nothing is
  // written.
  void abandon(const Status& why);

  const run::State& state() const { return state_; }
  // As of the last commit.
  const api::Run& doc() const { return shown_; }
  const std::shared_ptr<RunHub>& hub() const { return hub_; }
  const std::shared_ptr<Session>& session() const { return session_; }
  bool begun() const { return begun_; }

  // Called once, after the terminal record is durable or the loop gave up (not OK).
  std::function<void(const Status&)> on_end;

 private:
  struct Pending {
    std::shared_ptr<const tape::RunEvent> event;
    int64_t wall_ns = 0;
  };
  struct Flight {
    CancelToken cancel;
    TimerId timer = 0;
  };

  int64_t stamp();
  void add(tape::RunEvent event);
  Task<Status> settle();
  Task<Status> run_local(run::Wanted wanted);
  bool accepts(const tape::RunEvent& event) const;
  void drain();
  void wake();
  void arm_timers();
  void begin_stop();
  void end_stop();
  void forget_ended_flights();
  void answer_cancellers(const Status& status);
  void arm_heartbeat();
  void forget_flights();

  // commit.cpp
  Task<Status> commit();
  void fill_doc();
  void note_for_commit(const tape::RunEvent& event, service::CommitRequest& request);
  void close_approvals(service::CommitRequest& request);
  void add_turn_record(service::CommitRequest& request, api::Session& session);
  Task<Status> add_compaction_record(service::CommitRequest& request, api::Session* session);
  void after_commit(const service::CommitResponse& response,
                    const std::optional<api::Session>& session_doc);

  // joins.cpp
  struct Join {
    Joining joining;
    Slot<Result<uint64_t>> answer;
  };
  Task<Status> take_joins();
  Task<Status> take_join(Join join);
  Status may_join(const tape::InputAdded& input) const;
  void answer_joins(const Status& status);

  // effects.cpp
  void launch(const run::Wanted& wanted);
  void arm_deadline(const run::Effect& effect);
  Task<void> run_model(run::Wanted wanted);
  Task<void> run_tool(run::Wanted wanted);
  Task<void> run_compaction(run::Wanted wanted);  // compactor.cpp
  Task<tape::RunEvent> call_tool(run::Wanted wanted, common::v1::ToolCall call, CancelToken cancel);
  // recorded_tools.cpp
  Task<tape::RunEvent> recall(run::Wanted wanted);
  Task<void> pause(uint32_t attempt, CancelToken cancel);
  Task<void> store_partial();
  void maybe_store_partial();
  void interrupt(uint64_t ordinal, const std::string& reason);
  api::RunStreamEvent progress_event(const run::Wanted& wanted, const std::string& text) const;

  Environment& environment_;
  const std::shared_ptr<Session> session_;
  const std::shared_ptr<RunHub> hub_;
  run::State state_;
  api::Run doc_;
  api::Run shown_;
  uint64_t committed_seq_;
  Opening opening_;
  bool begun_ = false;
  bool ended_ = false;

  std::vector<Pending> pending_;
  std::vector<run::Wanted> to_launch_;
  std::vector<tape::RunEvent> inbox_;
  std::deque<Join> joins_;
  std::optional<Slot<bool>> waiting_;
  std::map<uint64_t, Flight> flights_;  // by ordinal
  api::RunState stored_state_ = api::RUN_STATE_UNSPECIFIED;
  api::WaitReason stored_reason_ = api::WAIT_REASON_UNSPECIFIED;

  // Approvals asked and not durably decided, by id; `decision` set = on its way.
  std::map<std::string, api::Approval> approvals_;
  std::map<std::string, std::vector<Slot<Status>>> deciders_;
  std::vector<Slot<Status>> cancellers_;  // wait until the cancellation is durable
  bool cancel_durable_;

  // Of the turn whose context is in force, for its next attempt too; none after a restart.
  std::optional<run::Prompt> request_;
  std::optional<HistoryTurn> finished_turn_;
  // What the compaction in flight came to, until its result is taken from the inbox; then to be
  // appended to the session's stream in the same commit.
  std::optional<tape::Compacted> ready_compaction_;
  std::optional<tape::Compacted> compacted_;
  std::optional<store::SessionView> new_view_;  // with the commit under way
  // Between two steps of a compaction: what the next one goes on with.
  std::unique_ptr<UncoveredTurns> uncovered_;

  // The turn in flight.
  std::string text_;
  std::string reasoning_;
  size_t partial_size_ = 0;  // bytes stored
  int64_t partial_ns_ = 0;   // when
  bool partial_stored_ = false;
  bool partial_writing_ = false;
  std::optional<Slot<bool>> partial_idle_;

  bool stopping_ = false;
  bool grace_over_ = false;
  TimerId grace_timer_ = 0;
  TimerId limit_timer_ = 0;
  int64_t limit_ns_ = INT64_MAX;
  TimerId heartbeat_timer_ = 0;
};

}  // namespace palyra::gateway
