// The start: every run that has not ended is folded and goes on.
#include "plugins/gateway/run/recover.h"
#include "plugins/gateway/session/gateway_impl.h"

#include <algorithm>
#include <deque>
#include <unordered_set>
#include <utility>

namespace palyra::gateway {
namespace {

// Sessions that are read at once: enough to keep the journal's readers busy.
constexpr size_t kAtOnce = 64;
// Runs whose first commit is under way at once, and those that begin before all are read: the
// others wait, so that many runs do not keep the daemon from serving.
constexpr size_t kBegunAtOnce = 64;
constexpr size_t kBegunEarly = 128;
// Readings of one session that another daemon still writes to.
constexpr int kReadings = 4;

}  // namespace

// One run as its tape says.
struct GatewayImpl::Folded {
  run::State state;
  api::Run doc;
  std::string shown;  // of a model turn that was cut off
  bool partial_stored = false;
};

// Sessions are read by `workers` tasks, runs that were read begin by `beginners`.
struct GatewayImpl::Recovery {
  std::map<std::string, std::vector<api::Run>> sessions;  // those not begun
  std::unordered_set<std::string> partials;               // runs with partial text
  size_t workers = 0;
  Status status;  // the first failure
  Slot<bool> done;

  struct Read {
    std::shared_ptr<RunLoop> loop;
    RunLoop::Opening opening;
  };
  std::deque<Read> runs;  // read, not begun
  size_t begun = 0;
  size_t beginners = 0;
  bool all_read = false;
  int reading = 1;  // of a session that was read before in vain: 2, 3, ...

  bool may_begin() const { return !runs.empty() && (all_read || begun < kBegunEarly); }
};

Task<Status> GatewayImpl::recover() {
  if (!declared_) {
    const Status status = co_await declare_documents(environment_.world.journal);
    if (!status.ok()) co_return status;
    declared_ = true;
  }
  const auto recovery = std::make_shared<Recovery>();
  std::string cursor;
  do {
    service::QueryRequest query;
    query.set_collection(kRuns);
    query.set_index("active");
    query.set_limit(1000);
    query.set_cursor(cursor);
    auto page = co_await environment_.world.journal.query(std::move(query));
    if (!page.ok()) co_return page.status();
    for (const auto& document : page->documents()) {
      api::Run run;
      if (run.ParseFromString(document.value())) {
        recovery->sessions[run.session_id()].push_back(std::move(run));
      }
    }
    cursor = page->next_cursor();
  } while (!cursor.empty());
  // All runs of a session or none: who drives one now may have lost it when it is looked at.
  std::erase_if(recovery->sessions, [this](const auto& session) {
    return std::all_of(session.second.begin(), session.second.end(),
                       [this](const api::Run& run) { return drives(run.run_id()); });
  });
  if (recovery->sessions.empty()) co_return Status();
  // Few runs have partial text, so the keys are asked for once and not run by run.
  do {
    service::QueryRequest query;
    query.set_collection(kPartials);
    query.set_limit(4);
    query.set_cursor(cursor);
    auto page = co_await environment_.world.journal.query(std::move(query));
    if (!page.ok()) co_return page.status();
    for (const auto& document : page->documents()) recovery->partials.insert(document.key());
    cursor = page->next_cursor();
  } while (!cursor.empty());
  recovery->workers = std::min(kAtOnce, recovery->sessions.size());
  for (size_t i = recovery->workers; i > 0; --i) {
    environment_.tasks.spawn(recover_sessions(recovery));
  }
  const Slot<bool> done = recovery->done;
  co_await done;
  recovery->all_read = true;
  begin_recovered(recovery);
  co_return recovery->status;
}

// Starts as many beginners as there is work for. Once the daemon stops they do none.
void GatewayImpl::begin_recovered(const std::shared_ptr<Recovery>& recovery) {
  while (!environment_.stopping && recovery->may_begin() && recovery->beginners < kBegunAtOnce) {
    ++recovery->beginners;
    environment_.tasks.spawn(begin_runs(recovery));
  }
}

Task<void> GatewayImpl::begin_runs(std::shared_ptr<Recovery> recovery) {
  while (recovery->may_begin() && !environment_.stopping) {
    Recovery::Read next = std::move(recovery->runs.front());
    recovery->runs.pop_front();
    ++recovery->begun;
    // One that has nothing to write, because it waits for somebody, is not waited for.
    const bool writes = !next.opening.events.empty();
    const Slot<Result<service::CommitResponse>> committed;
    if (writes) next.opening.committed = committed;
    environment_.tasks.spawn(next.loop->run(std::move(next.opening)));
    if (!writes) continue;
    const auto response = co_await committed;
    const bool stale = response.status().code() == Code::kFailedPrecondition;
    if (stale && recovery->reading < kReadings && !environment_.stopping) {
      // Who had the session before got something more written, or somebody else had it since this
      // daemon did. After the last reading, the next who opens it takes it up.
      const auto adopted = co_await adopt(next.loop->session()->id(), recovery->reading + 1);
      static_cast<void>(adopted.ok());
    }
  }
  --recovery->beginners;
}

Task<void> GatewayImpl::recover_sessions(std::shared_ptr<Recovery> recovery) {
  while (!recovery->sessions.empty() && !environment_.stopping) {
    auto next = recovery->sessions.extract(recovery->sessions.begin());
    const Status status = co_await recover_session(recovery, next.key(), std::move(next.mapped()));
    const bool elsewhere = status.code() == Code::kAborted;  // another daemon drives it
    if (!status.ok() && !elsewhere && recovery->status.ok()) recovery->status = status;
  }
  if (--recovery->workers == 0) {
    environment_.world.executor.post([done = recovery->done] { done.set(true); });
  }
}

Task<Status> GatewayImpl::recover_session(std::shared_ptr<Recovery> recovery,
                                          std::string session_id, std::vector<api::Run> runs) {
  // Sorted by age; a run that had begun comes before those that waited for it.
  std::sort(runs.begin(), runs.end(), [](const api::Run& a, const api::Run& b) {
    const bool a_waits = a.state() == api::RUN_STATE_QUEUED;
    const bool b_waits = b.state() == api::RUN_STATE_QUEUED;
    return a_waits != b_waits ? b_waits : a.run_id() < b.run_id();
  });
  // A running run takes the lease with its first record, which fails if its tape or the session's
  // is not what was read; so its runs are read behind the session. Where no run writes, the lease
  // is taken now, so that a daemon which had the session before writes nothing more of it.
  const auto in_use = [](const Session& one) {
    // One that nobody uses may have been read when it was another daemon's.
    return !one.lost() && (one.token() != 0 || !one.idle());
  };
  std::shared_ptr<Session> session;
  std::vector<Folded> folded;
  const auto known = sessions_.find(session_id);
  if (known != sessions_.end() && in_use(*known->second)) session = known->second;
  Mutex::Guard guard;
  if (!session) {
    auto loaded = co_await Session::load(environment_.world, environment_.options, session_id);
    if (!loaded.ok()) co_return loaded.status();
    bool writes = std::any_of(runs.begin(), runs.end(), [](const api::Run& run) {
      return run.state() == api::RUN_STATE_RUNNING;
    });
    Status read;
    if (writes) {
      read = co_await fold_all(recovery, (*loaded)->doc(), &runs, &folded);
      writes = std::any_of(folded.begin(), folded.end(), [](const Folded& one) {
        return run::run_state(one.state) == api::RUN_STATE_RUNNING;
      });
    }
    if (read.ok() && !writes) {
      for (auto& one : std::exchange(folded, {})) runs.push_back(std::move(one.doc));
      read = co_await (*loaded)->take();
      if (read.ok()) read = co_await fold_all(recovery, (*loaded)->doc(), &runs, &folded);
    }
    if (read.ok()) read = co_await load_approvals(session_id);
    if (!read.ok()) co_return read;
    auto& kept = sessions_[session_id];
    if (!kept || !in_use(*kept)) {
      kept = *loaded;
      // Free: nobody knows it yet. Nothing joins it before its runs are there.
      guard = co_await kept->lock();
    }
    session = sessions_[session_id];
  }
  const bool shared = !guard;
  if (shared) {
    // What was read may be over: a run ends under the lock.
    guard = co_await session->lock();
    for (auto& one : std::exchange(folded, {})) runs.push_back(std::move(one.doc));
  }
  Status status = co_await fold_runs(recovery, &runs, &folded);
  const auto current = sessions_.find(session_id);
  const bool replaced = current == sessions_.end() || current->second != session;
  if (status.ok() && (replaced || (shared && !session->lost() && !in_use(*session)))) {
    // Whoever used it got nothing written, or dropped it because another daemon had written: runs
    // that went on here would be none of the session's that others use from now on.
    forget(session);
    guard.release();
    for (auto& one : folded) runs.push_back(std::move(one.doc));
    co_return co_await recover_session(recovery, std::move(session_id), std::move(runs));
  }
  for (size_t i = 0; status.ok() && i < folded.size(); ++i) {
    status = co_await recover_run(recovery, session, std::move(folded[i]));
  }
  if (!status.ok()) {
    // Nobody may take it for one without runs, also who waits for its lock.
    if (session->idle()) session->give_up();
    forget(session);
    co_return status;
  }
  if (session->active_run.empty() && !session->queue.empty()) {
    environment_.tasks.spawn(take_next(session));
  }
  co_return Status();
}

// What is driven for a session that was lost is about to end, and holds up those behind it until
// then.
bool GatewayImpl::drives(const std::string& run_id) const {
  const auto found = runs_.find(run_id);
  return found != runs_.end() && !found->second->session()->lost();
}

Task<Status> GatewayImpl::adopt(std::string session_id, int reading) {
  const auto recovery = std::make_shared<Recovery>();
  recovery->all_read = true;
  recovery->reading = reading;
  auto runs = co_await runs_of(environment_.world.journal, session_id, true);
  if (!runs.ok()) co_return runs.status();
  for (const api::Run& run : *runs) recovery->partials.insert(run.run_id());
  const bool all = std::all_of(runs->begin(), runs->end(),
                               [this](const api::Run& run) { return drives(run.run_id()); });
  if (all) co_return Status();
  co_return co_await recover_session(recovery, std::move(session_id), std::move(*runs));
}

// `runs` were listed before the session was read, which may tell of more.
Task<Status> GatewayImpl::fold_all(std::shared_ptr<Recovery> recovery, api::Session session,
                                   std::vector<api::Run>* runs, std::vector<Folded>* folded) {
  const Status status = co_await fold_runs(recovery, runs, folded);
  if (!status.ok()) co_return status;
  uint32_t queued = 0;
  bool ended = false;
  for (const Folded& one : *folded) {
    if (one.state.phase == run::Phase::kQueued) ++queued;
    ended = ended || !one.state.exists() || one.state.terminal();
  }
  if (!ended && session.queued() <= queued) co_return status;
  auto all = co_await runs_of(environment_.world.journal, session.session_id(), true);
  if (!all.ok()) co_return all.status();
  for (auto& run : *all) {
    const auto same = [&run](const Folded& one) { return one.doc.run_id() == run.run_id(); };
    if (std::none_of(folded->begin(), folded->end(), same)) runs->push_back(std::move(run));
  }
  co_return co_await fold_runs(recovery, runs, folded);
}

Task<Status> GatewayImpl::fold_runs(std::shared_ptr<Recovery> recovery, std::vector<api::Run>* runs,
                                    std::vector<Folded>* folded) {
  for (auto& run : std::exchange(*runs, {})) {
    auto one = co_await fold_run(recovery, std::move(run));
    if (!one.ok()) co_return one.status();
    folded->push_back(std::move(*one));
  }
  co_return Status();
}

Task<Result<GatewayImpl::Folded>> GatewayImpl::fold_run(std::shared_ptr<Recovery> recovery,
                                                        api::Run doc) {
  Folded folded;
  folded.doc = std::move(doc);
  run::State& state = folded.state;
  const std::string run_id = folded.doc.run_id();
  uint64_t next = 1;
  for (;;) {
    service::ReadRequest request;
    request.set_stream(run_stream(run_id));
    request.set_from_seq(next);
    auto page = co_await environment_.world.journal.read(std::move(request));
    if (!page.ok()) co_return page.status();
    for (const auto& record : page->records()) {
      tape::RunEvent event;
      // What cannot be read folds as an unknown event: the run waits for the operator.
      if (record.erased() || !event.ParseFromString(record.payload())) event.Clear();
      run::evolve(state, event, record.wall_time_ns(), record.seq());
      next = record.seq() + 1;
    }
    if (page->records().empty() || next > page->head_seq()) break;
  }
  if (!state.exists() || state.terminal()) co_return folded;

  service::GetResponse partial;
  if (recovery->partials.count(run_id) != 0) {
    service::GetRequest get;
    get.set_collection(kPartials);
    get.set_key(run_id);
    auto got = co_await environment_.world.journal.get(std::move(get));
    if (!got.ok()) co_return got.status();
    partial = std::move(*got);
  }
  if (partial.has_document()) {
    folded.partial_stored = true;
    tape::ModelTurnInterrupted stored;
    const run::Effect* effect = run::model_in_flight(state);
    if (stored.ParseFromString(partial.document().value()) && effect != nullptr &&
        stored.ordinal() == effect->ordinal && stored.attempt() == effect->attempt) {
      folded.shown = stored.partial_text();
    }
  }
  co_return folded;
}

Task<Status> GatewayImpl::recover_run(std::shared_ptr<Recovery> recovery,
                                      std::shared_ptr<Session> session, Folded folded) {
  if (environment_.stopping) co_return cut_off_by_stop();
  run::State state = std::move(folded.state);
  if (!state.exists() || state.terminal()) co_return Status();
  const std::string run_id = state.run_id();
  const auto driver = runs_.find(run_id);
  if (session->lost() || (driver != runs_.end() && driver->second->session() != session)) {
    co_return Status(Code::kAborted,
                     "another daemon drives run " + run_id + " of session " + session->id() +
                         "; send to that one, or again when it is gone",
                     PALYRA_ERROR_RETRYABLE);
  }
  // Taken up by another task meanwhile.
  if (driver != runs_.end()) co_return Status();
  const bool queued = state.phase == run::Phase::kQueued;
  RunLoop::Opening opening;
  opening.events = run::recover_events(state, session->token(), folded.shown);
  std::vector<std::string> questions;
  for (const auto& [ordinal, effect] : state.in_flight) {
    if (effect.kind == run::EffectKind::kApproval) questions.push_back(effect.approval_id);
  }
  const auto loop = add_run(session, std::move(state), std::move(folded.doc));
  if (folded.partial_stored) loop->know_partial();
  if (queued) {
    session->queue.push_back(run_id);
    // The window goes on, but never longer than it was, whatever the wall clock says now.
    const int64_t length = std::clamp<int64_t>(
        loop->state().created.start_after_ms() - loop->doc().created_at_ms(), 0, kLongestWindowMs);
    const int64_t left =
        std::clamp<int64_t>(loop->state().start_after_ms - now_ms(), 0, length) * kNanosPerMilli;
    loop->joinable.opened_ns = environment_.world.clock.mono_now();
    loop->joinable.until_ns = loop->joinable.opened_ns + left;
    co_return Status();
  }
  session->active_run = run_id;
  session->runs(run_id);
  for (const auto& id : questions) {
    auto approval = co_await gateway::load<api::Approval>(environment_.world.journal, kApprovals,
                                                          id, "approval " + id);
    if (!approval.ok()) co_return approval.status();
    loop->know_approval(std::move(*approval));
  }
  recovery->runs.push_back({loop, std::move(opening)});
  begin_recovered(recovery);
  co_return Status();
}

}  // namespace palyra::gateway
