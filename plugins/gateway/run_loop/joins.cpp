// Messages that join a run.
#include "plugins/gateway/run/inputs.h"
#include "plugins/gateway/run_loop/run_loop.h"

#include <utility>

namespace palyra::gateway {
namespace {

tape::SessionEvent accepted_event(const tape::InputAdded& input, const std::string& run_id,
                                  const std::string& idempotency_key) {
  tape::SessionEvent event;
  auto& accepted = *event.mutable_input_accepted();
  accepted.set_input_id(input.input_id());
  accepted.set_run_id(run_id);
  accepted.set_principal(input.principal());
  accepted.set_idempotency_key(idempotency_key);
  accepted.set_text(input.text());
  accepted.set_mode(input.mode());
  return event;
}

}  // namespace

Task<Result<uint64_t>> RunLoop::join(Joining joining) {
  const auto self = shared_from_this();
  if (ended_) co_return Status(Code::kAborted, "the run has ended");
  Join one;
  one.joining = std::move(joining);
  const Slot<Result<uint64_t>> answer = one.answer;
  joins_.push_back(std::move(one));
  wake();
  co_return co_await answer;
}

// What came before them is durable first: a message that found the run at work is not refused for
// what the run decides next.
Task<Status> RunLoop::take_joins() {
  while (!joins_.empty() && !environment_.stopping) {
    if (!pending_.empty()) {
      const Status status = co_await commit();
      if (!status.ok()) co_return status;
      continue;
    }
    Join join = std::move(joins_.front());
    joins_.pop_front();
    const Status status = co_await take_join(std::move(join));
    if (!status.ok()) co_return status;
  }
  co_return Status();
}

Status RunLoop::may_join(const tape::InputAdded& input) const {
  if (state_.terminal() || state_.stopping() || !state_.corrupt.empty() ||
      state_.phase != run::Phase::kActive) {
    return Status(Code::kAborted, "the run is ending");
  }
  size_t bytes = input.text().size();
  for (const auto& joined : state_.inputs) bytes += joined.added.text().size();
  if (state_.inputs.size() < run::kMostInputs && bytes <= run::kMostInputBytes) return Status();
  return Status(Code::kResourceExhausted,
                "as many messages joined run " + state_.run_id() + " as may (" +
                    std::to_string(run::kMostInputs) +
                    ", 1 MiB in sum); try again when it has "
                    "ended, or send this one as a follow-up",
                PALYRA_ERROR_RETRYABLE);
}

// The session's record, the run's and the key in one commit. Not OK ends the loop.
Task<Status> RunLoop::take_join(Join join) {
  const Slot<Result<uint64_t>> answer = join.answer;
  Executor& executor = environment_.world.executor;
  const auto tell = [&executor, answer](Result<uint64_t> result) {
    executor.post([answer, result = std::move(result)] { answer.set(result); });
  };
  Status status = may_join(join.joining.input);
  if (!status.ok()) {
    tell(status);
    co_return Status();
  }
  Mutex::Guard guard = co_await session_->lock();
  if (environment_.stopping) {
    tell(Status(Code::kUnavailable, "the daemon is stopping and takes no new messages"));
    co_return Status();
  }
  const int64_t now = stamp();
  const std::string run_id = state_.run_id();
  service::CommitRequest request;
  append(request, session_stream(session_->id()), session_->seq(),
         accepted_event(join.joining.input, run_id, join.joining.idempotency_key), now);
  tape::SessionEvent taken;
  taken.mutable_input_taken()->set_input_id(join.joining.input.input_id());
  taken.mutable_input_taken()->set_run_id(run_id);
  append(request, session_stream(session_->id()), session_->seq(), taken, now);
  tape::RunEvent event;
  *event.mutable_input_added() = join.joining.input;
  append(request, run_stream(run_id), committed_seq_, event, now);
  api::Session doc = session_->doc();
  doc.set_updated_at_ms(now / kNanosPerMilli);
  put_session(request, doc);
  if (!join.joining.key.empty()) {
    api::RouteMessageResponse first;
    first.set_session_id(session_->id());
    first.set_run_id(run_id);
    first.set_mode(join.joining.input.mode());
    first.set_input_id(join.joining.input.input_id());
    put_input(request, join.joining.key, first);
  }
  auto response = co_await session_->commit(std::move(request));
  if (!response.ok()) {
    status = response.status();
    tell(status);
    if (environment_.stopping || status.code() == Code::kUnavailable ||
        status.code() == Code::kResourceExhausted || status.code() == Code::kDeadlineExceeded) {
      co_return Status();
    }
    if (!join.joining.key.empty()) {
      // The key may have been used elsewhere meanwhile; that is no reason to end the run.
      auto used = co_await load_document(environment_.world.journal, kInputs, join.joining.key,
                                         "input with this key");
      if (used.ok()) co_return Status();
    }
    session_->give_up();
    co_return status;
  }
  const auto* landed = appended(*response, run_stream(run_id));
  tell(landed != nullptr ? landed->first_position() : uint64_t{0});
  Pending pending;
  pending.wall_ns = now;
  pending.event = std::make_shared<const tape::RunEvent>(std::move(event));
  run::evolve(state_, *pending.event, now, committed_seq_ + 1);
  pending_.push_back(std::move(pending));
  fill_doc();
  // The run's document is not in this commit: a state that the message changed, because it
  // interrupts what waits, is stored with the next one.
  const api::RunState state = stored_state_;
  const api::WaitReason reason = stored_reason_;
  after_commit(*response, std::move(doc));
  stored_state_ = state;
  stored_reason_ = reason;
  co_return Status();
}

void RunLoop::take_input(tape::RunEvent event, int64_t wall_ns) {
  auto shared = std::make_shared<const tape::RunEvent>(std::move(event));
  run::evolve(state_, *shared, wall_ns, ++committed_seq_);
  fill_doc();
  shown_ = doc_;
  TapeRecord record;
  record.seq = committed_seq_;
  record.wall_time_ns = wall_ns;
  record.type = std::string(event_type(*shared));
  record.event = std::move(shared);
  std::vector<TapeRecord> records;
  records.push_back(std::move(record));
  hub_->publish(std::move(records));
}

void RunLoop::answer_joins(const Status& status) {
  for (auto& join : std::exchange(joins_, {})) {
    environment_.world.executor.post(
        [answer = join.answer, status] { answer.set(Result<uint64_t>(status)); });
  }
}

}  // namespace palyra::gateway
