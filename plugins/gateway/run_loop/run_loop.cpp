#include "plugins/gateway/run_loop/run_loop.h"

#include "plugins/common/digest/digest.h"
#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/run/recover.h"
#include "plugins/gateway/run_loop/backoff.h"
#include "plugins/gateway/run_loop/policy_step.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

// The ordinal whose effect this record ends; 0 if it ends none.
uint64_t result_of(const tape::RunEvent& event) {
  switch (event.event_case()) {
    case tape::RunEvent::kContextGathered:
      return event.context_gathered().ordinal();
    case tape::RunEvent::kModelTurnInterrupted:
      return event.model_turn_interrupted().ordinal();
    case tape::RunEvent::kModelTurnFinished:
      return event.model_turn_finished().ordinal();
    case tape::RunEvent::kModelTurnFailed:
      return event.model_turn_failed().ordinal();
    case tape::RunEvent::kPolicyEvaluated:
      return event.policy_evaluated().ordinal();
    case tape::RunEvent::kApprovalDecided:
      return event.approval_decided().ordinal();
    case tape::RunEvent::kToolCallFinished:
      return event.tool_call_finished().ordinal();
    case tape::RunEvent::kToolCallUnknown:
      return event.tool_call_unknown().ordinal();
    case tape::RunEvent::kToolCallVerified:
      return event.tool_call_verified().ordinal();
    case tape::RunEvent::kEffectInterrupted:
      return event.effect_interrupted().ordinal();
    case tape::RunEvent::kTimerFired:
      return event.timer_fired().ordinal();
    case tape::RunEvent::kCompactionFinished:
      return event.compaction_finished().ordinal();
    case tape::RunEvent::kCompactionFailed:
      return event.compaction_failed().ordinal();
    default:
      return 0;
  }
}

}  // namespace

RunLoop::RunLoop(Environment& environment, std::shared_ptr<Session> session,
                 std::shared_ptr<RunHub> hub, run::State state, api::Run doc)
    : environment_(environment),
      session_(std::move(session)),
      hub_(std::move(hub)),
      state_(std::move(state)),
      doc_(std::move(doc)),
      shown_(doc_),
      committed_seq_(state_.last_seq),
      stored_state_(doc_.state()),
      stored_reason_(doc_.wait_reason()),
      cancel_durable_(state_.cancel.has_value()) {
  ++environment_.loops;
}

RunLoop::~RunLoop() {
  forget_flights();
  --environment_.loops;
}

Task<void> RunLoop::run(Opening opening) {
  const auto self = shared_from_this();
  begun_ = true;
  opening_ = std::move(opening);
  for (auto& event : opening_.events) add(std::move(event));
  opening_.events.clear();
  for (const auto& [ordinal, effect] : state_.in_flight) arm_deadline(effect);

  Status status;
  while (!environment_.stopping) {
    status = co_await settle();
    if (environment_.stopping || !status.ok()) break;
    if (!pending_.empty()) {
      status = co_await commit();
      if (!status.ok() || state_.terminal()) break;
      for (const auto& wanted : std::exchange(to_launch_, {})) launch(wanted);
    }
    forget_ended_flights();
    arm_timers();
    if (inbox_.empty() && joins_.empty() && !grace_over_) {
      waiting_.emplace();
      const Slot<bool> slot = *waiting_;
      co_await slot;
      waiting_.reset();
    }
    drain();
    status = co_await take_joins();
    if (!status.ok()) break;
  }
  if (environment_.stopping && status.ok() && !state_.terminal()) {
    status = cut_off_by_stop();
  }
  abandon(status);
  if (on_end) std::exchange(on_end, nullptr)(status);
}

int64_t RunLoop::stamp() { return std::max(environment_.world.clock.wall_now(), state_.last_ns); }

void RunLoop::add(tape::RunEvent event) {
  Pending pending;
  pending.wall_ns = stamp();
  pending.event = std::make_shared<const tape::RunEvent>(std::move(event));
  pending_.push_back(pending);
  run::evolve(state_, *pending.event, pending.wall_ns, committed_seq_ + pending_.size());
}

Task<Status> RunLoop::settle() {
  if (compacted_) {
    // What is gathered next must see the summary, and a summary is seen once it is durable.
    const Status status = co_await commit();
    if (!status.ok() || environment_.stopping) co_return status;
  }
  for (;;) {
    run::Decision decision = run::decide(state_, environment_.schema_check);
    if (decision.stop_in_flight) {
      begin_stop();
    } else if (!state_.stopping()) {
      end_stop();
    }
    if (decision.idle()) co_return Status();
    if (decision.begin) {
      tape::RunEvent event;
      auto& started = *event.mutable_run_started();
      started.set_loop_version(run::kLoopVersion);
      started.set_parent_turn(session_->doc().head_turn());
      started.set_fence(session_->token());
      add(std::move(event));
    }
    for (auto& event : decision.append) add(std::move(event));
    std::vector<run::Wanted> local;
    for (auto& wanted : decision.start) {
      run::Stamp stamped;
      stamped.wall_ms = stamp() / kNanosPerMilli;
      if (wanted.kind == run::EffectKind::kApproval) {
        stamped.approval_id = environment_.world.ids.ulid();
      }
      tape::RunEvent begun = run::started_event(state_, wanted, stamped);
      if (begun.has_approval_requested() && state_.turn() != nullptr &&
          wanted.call_index < state_.turn()->calls.size()) {
        begun.mutable_approval_requested()->set_rule_digest(
            state_.turn()->calls[wanted.call_index].asked.rule_digest());
      }
      add(std::move(begun));
      const bool inline_effect =
          wanted.kind == run::EffectKind::kContext || wanted.kind == run::EffectKind::kPolicy;
      (inline_effect ? local : to_launch_).push_back(std::move(wanted));
    }
    for (auto& wanted : local) {
      const Status status = co_await run_local(std::move(wanted));
      if (environment_.stopping) co_return Status();
      if (!status.ok() && opening_.admission && try_again(status)) co_return status;
      if (!status.ok()) {
        tape::RunEvent event;
        auto& failure = *event.mutable_run_failed()->mutable_failure();
        failure.set_code(static_cast<int32_t>(status.code()));
        failure.set_message(status.message());
        *event.mutable_run_failed()->mutable_usage() = state_.usage;
        add(std::move(event));
        co_return Status();
      }
    }
  }
}

Task<Status> RunLoop::run_local(run::Wanted wanted) {
  tape::RunEvent event;
  if (wanted.kind == run::EffectKind::kPolicy) {
    *event.mutable_policy_evaluated() = evaluate_policy(
        environment_, state_, wanted, state_.created.channel(), stamp() / kNanosPerMilli);
    add(std::move(event));
    co_return Status();
  }
  Backoff backoff(environment_.world);
  for (;;) {
    auto gathered =
        co_await gather_context(environment_, session_, state_, wanted.ordinal, wanted.turn);
    if (environment_.stopping) co_return Status();
    if (gathered.ok()) {
      request_ = std::move(gathered->request);
      *event.mutable_context_gathered() = std::move(gathered->event);
      add(std::move(event));
      co_return Status();
    }
    if (!try_again(gathered.status()) || opening_.admission) co_return gathered.status();
    co_await backoff.wait();
  }
}

bool RunLoop::accepts(const tape::RunEvent& event) const {
  const uint64_t ordinal = result_of(event);
  return ordinal == 0 || state_.in_flight.count(ordinal) != 0;
}

void RunLoop::drain() {
  for (auto& event : std::exchange(inbox_, {})) {
    if (state_.terminal()) return;
    if (!accepts(event)) {
      // Cut off before; an approval whose question is gone has nothing to wait for.
      if (event.has_approval_decided()) {
        const std::string& id = event.approval_decided().approval_id();
        for (auto& slot : std::exchange(deciders_[id], {})) {
          slot.set(
              Status(Code::kFailedPrecondition, "the approval " + id + " is no longer asked for"));
        }
      }
      continue;
    }
    if (const uint64_t ordinal = result_of(event)) {
      const auto flight = flights_.find(ordinal);
      if (flight != flights_.end()) {
        if (flight->second.timer != 0) environment_.world.executor.cancel(flight->second.timer);
        flights_.erase(flight);
      }
    }
    if (event.has_cancel_requested() && state_.cancel) continue;
    if (event.has_compaction_finished())
      compacted_ = std::exchange(ready_compaction_, std::nullopt);
    add(std::move(event));
  }
  if (std::exchange(grace_over_, false)) {
    for (auto& event : run::interrupt_events(state_, std::string(utf8::prefix(text_, 256 * 1024)),
                                             "it did not stop within the grace period")) {
      add(std::move(event));
    }
  }
}

void RunLoop::wake() {
  if (!waiting_ || waiting_->ready()) return;
  // From the executor, so that what arrives together is appended together.
  environment_.world.executor.post([slot = *waiting_] { slot.set(true); });
}

void RunLoop::post(tape::RunEvent event) {
  if (ended_) return;
  inbox_.push_back(std::move(event));
  wake();
}

Task<Status> RunLoop::cancel(std::string principal, std::string reason) {
  const auto self = shared_from_this();
  const bool over = shown_.state() == api::RUN_STATE_COMPLETED ||
                    shown_.state() == api::RUN_STATE_CANCELLED ||
                    shown_.state() == api::RUN_STATE_FAILED;
  if (cancel_durable_ || (ended_ && over)) co_return Status();
  if (ended_) {
    co_return Status(Code::kUnavailable,
                     "run " + state_.run_id() +
                         " is not driven here any more, so nothing was cancelled; try again",
                     PALYRA_ERROR_RETRYABLE);
  }
  if (!state_.cancel && !state_.terminal()) {
    tape::RunEvent event;
    event.mutable_cancel_requested()->set_principal(std::move(principal));
    event.mutable_cancel_requested()->set_reason(std::move(reason));
    post(std::move(event));
  }
  const Slot<Status> durable;
  cancellers_.push_back(durable);
  co_return co_await durable;
}

void RunLoop::answer_cancellers(const Status& status) {
  for (auto& slot : std::exchange(cancellers_, {})) {
    environment_.world.executor.post([slot, status] { slot.set(status); });
  }
}

Task<Result<api::Approval>> RunLoop::decide(tape::ApprovalDecided decision) {
  const auto self = shared_from_this();
  const std::string id = decision.approval_id();
  const auto found = approvals_.find(id);
  if (ended_ || found == approvals_.end()) {
    co_return Status(Code::kFailedPrecondition, "the approval " + id + " is no longer asked for");
  }
  if (found->second.has_decision()) {
    const std::string by = found->second.decision().decided_by();
    // One that is on its way is not told before it is durable: who hears of it relies on it.
    if (const auto deciding = deciders_.find(id);
        deciding != deciders_.end() && !deciding->second.empty()) {
      const Slot<Status> durable;
      deciding->second.push_back(durable);
      if (const Status status = co_await durable; !status.ok()) co_return status;
    }
    co_return Status(Code::kFailedPrecondition,
                     "the approval " + id + " was decided by " +
                         (by.empty() ? std::string("its time running out") : by));
  }
  uint64_t ordinal = 0;
  for (const auto& [number, effect] : state_.in_flight) {
    if (effect.kind == run::EffectKind::kApproval && effect.approval_id == id) ordinal = number;
  }
  if (ordinal == 0) {
    co_return Status(Code::kFailedPrecondition, "the approval " + id + " is no longer asked for");
  }
  decision.set_ordinal(ordinal);
  decision.set_turn(found->second.request().turn());
  decision.set_call_index(found->second.request().call_index());
  *found->second.mutable_decision() = decision;
  Slot<Status> durable;
  deciders_[id].push_back(durable);
  tape::RunEvent event;
  *event.mutable_approval_decided() = std::move(decision);
  post(std::move(event));
  const Status status = co_await durable;
  if (!status.ok()) co_return status;
  co_return approvals_[id];
}

void RunLoop::know_approval(api::Approval approval) {
  std::string id = approval.request().approval_id();
  approvals_[std::move(id)] = std::move(approval);
}

void RunLoop::arm_timers() {
  Executor& executor = environment_.world.executor;
  const int64_t ends = run::running_time_ends_ns(state_);
  if (ends != limit_ns_) {
    limit_ns_ = ends;
    if (limit_timer_ != 0) executor.cancel(std::exchange(limit_timer_, 0));
    if (ends != INT64_MAX) {
      const int64_t left = std::max<int64_t>(0, ends - environment_.world.clock.wall_now());
      limit_timer_ =
          executor.post_at(environment_.world.clock.mono_now() + left, [weak = weak_from_this()] {
            const auto self = weak.lock();
            if (!self || self->ended_) return;
            self->limit_timer_ = 0;
            tape::RunEvent event;
            event.mutable_limit_reached()->set_kind(tape::LIMIT_KIND_RUNNING_TIME);
            self->post(std::move(event));
          });
    }
  }
  arm_heartbeat();
}

void RunLoop::arm_heartbeat() {
  if (heartbeat_timer_ != 0 || flights_.empty()) return;
  heartbeat_timer_ = environment_.world.executor.post_at(
      environment_.world.clock.mono_now() + environment_.options.heartbeat_ms * kNanosPerMilli,
      [weak = weak_from_this()] {
        const auto self = weak.lock();
        if (!self || self->ended_) return;
        self->heartbeat_timer_ = 0;
        if (self->flights_.empty()) return;
        api::RunStreamEvent event;
        event.mutable_heartbeat();
        self->hub_->show(std::move(event));
        self->arm_heartbeat();
      });
}

void RunLoop::begin_stop() {
  if (std::exchange(stopping_, true)) return;
  // Cancelled from the executor: what it ends must not run inside the decision.
  environment_.world.executor.post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->ended_) return;
    if (!self->stopping_) return;
    std::vector<CancelToken> tokens;
    for (const auto& [ordinal, flight] : self->flights_) tokens.push_back(flight.cancel);
    for (const auto& token : tokens) token.cancel();
  });
  grace_timer_ = environment_.world.executor.post_at(
      environment_.world.clock.mono_now() + environment_.options.cancel_grace_ms * kNanosPerMilli,
      [weak = weak_from_this()] {
        const auto self = weak.lock();
        if (!self || self->ended_) return;
        self->grace_timer_ = 0;
        self->grace_over_ = true;
        self->wake();
      });
}

// An interrupted turn is over; the next one may fly.
void RunLoop::end_stop() {
  if (!std::exchange(stopping_, false)) return;
  grace_over_ = false;
  if (grace_timer_ != 0) environment_.world.executor.cancel(std::exchange(grace_timer_, 0));
}

// Questions and timers that were closed by a record of the loop's own.
void RunLoop::forget_ended_flights() {
  for (auto flight = flights_.begin(); flight != flights_.end();) {
    if (state_.in_flight.count(flight->first) != 0) {
      ++flight;
      continue;
    }
    if (flight->second.timer != 0) environment_.world.executor.cancel(flight->second.timer);
    flight = flights_.erase(flight);
  }
}

void RunLoop::forget_flights() {
  Executor& executor = environment_.world.executor;
  for (auto& [ordinal, flight] : flights_) {
    if (flight.timer != 0) executor.cancel(flight.timer);
  }
  for (TimerId* timer : {&grace_timer_, &limit_timer_, &heartbeat_timer_}) {
    if (*timer != 0) executor.cancel(std::exchange(*timer, 0));
  }
}

void RunLoop::abandon(const Status& why) {
  if (std::exchange(ended_, true)) return;
  forget_flights();
  for (auto& [ordinal, flight] : std::exchange(flights_, {})) flight.cancel.cancel();
  const Status told = why.ok() ? Status(Code::kFailedPrecondition, "the run has ended") : why;
  for (auto& [id, slots] : std::exchange(deciders_, {})) {
    for (auto& slot : slots) {
      environment_.world.executor.post([slot, told] { slot.set(told); });
    }
  }
  answer_cancellers(why);
  answer_joins(why.ok() ? Status(Code::kAborted, "the run has ended") : why);
  if (auto slot = std::exchange(opening_.committed, std::nullopt)) {
    environment_.world.executor.post(
        [slot = *slot, told] { slot.set(Result<service::CommitResponse>(told)); });
  }
  opening_.guard.release();
  hub_->end();
}

}  // namespace palyra::gateway
