// What happens outside: model turns, tools, questions, timers.
#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/replay/recording.h"
#include "plugins/gateway/run/recover.h"
#include "plugins/gateway/run_loop/run_loop.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

constexpr size_t kInlineBytes = 64 * 1024;
// Of one model turn; a provider that goes on and on is cut off.
constexpr size_t kTurnBytes = 1024 * 1024;
constexpr size_t kPartialBytes = 512 * 1024;

service::FailureKind kind_of(const Status& status, service::FailureKind said) {
  if (said != service::FAILURE_KIND_UNSPECIFIED) return said;
  switch (status.code()) {
    case Code::kUnauthenticated:
    case Code::kPermissionDenied:
      return service::FAILURE_KIND_AUTH;
    case Code::kResourceExhausted:
      return service::FAILURE_KIND_RATE_LIMIT;
    case Code::kInvalidArgument:
    case Code::kFailedPrecondition:
      return service::FAILURE_KIND_BAD_REQUEST;
    case Code::kNotFound:
      return service::FAILURE_KIND_MODEL_NOT_FOUND;
    case Code::kDeadlineExceeded:
      return service::FAILURE_KIND_TIMEOUT;
    case Code::kUnavailable:
    case Code::kAborted:
    case Code::kCancelled:
      return service::FAILURE_KIND_UNAVAILABLE;
    default:
      return service::FAILURE_KIND_PROTOCOL;
  }
}

bool transient(service::FailureKind kind) {
  return kind == service::FAILURE_KIND_RATE_LIMIT || kind == service::FAILURE_KIND_UNAVAILABLE ||
         kind == service::FAILURE_KIND_TIMEOUT || kind == service::FAILURE_KIND_CIRCUIT_OPEN ||
         kind == service::FAILURE_KIND_PROTOCOL;
}

void fill(palyra::common::v1::Failure& failure, const Status& status, bool retryable) {
  failure.set_code(static_cast<int32_t>(status.code()));
  failure.set_message(status.message());
  failure.set_retryable(retryable);
}

// Whether the call was cut off rather than answered: it may or may not have happened.
bool cut_off(const Status& status) {
  switch (status.code()) {
    case Code::kUnavailable:
    case Code::kCancelled:
    case Code::kAborted:
    case Code::kDeadlineExceeded:
    case Code::kUnknown:
    case Code::kDataLoss:
      return true;
    default:
      return false;
  }
}

}  // namespace

void RunLoop::launch(const run::Wanted& wanted) {
  const auto found = state_.in_flight.find(wanted.ordinal);
  if (found == state_.in_flight.end()) return;
  switch (wanted.kind) {
    case run::EffectKind::kModel:
      flights_[wanted.ordinal] = {};
      environment_.tasks.spawn(run_model(wanted));
      break;
    case run::EffectKind::kTool:
      flights_[wanted.ordinal] = {};
      environment_.tasks.spawn(run_tool(wanted));
      break;
    case run::EffectKind::kCompaction:
      flights_[wanted.ordinal] = {};
      environment_.tasks.spawn(run_compaction(wanted));
      break;
    case run::EffectKind::kApproval:
    case run::EffectKind::kTimer:
      arm_deadline(found->second);
      break;
    case run::EffectKind::kContext:
    case run::EffectKind::kPolicy:
      break;
  }
}

// A question or a timer: it ends by itself at a wall time, which may jump. One that was set back
// must not keep a run waiting for longer than was meant in the first place.
void RunLoop::arm_deadline(const run::Effect& effect) {
  if (effect.kind != run::EffectKind::kApproval && effect.kind != run::EffectKind::kTimer) return;
  const int64_t due_ns = effect.due_ms * kNanosPerMilli;
  const int64_t longest = std::max<int64_t>(0, due_ns - effect.started_ns);
  const int64_t left =
      std::clamp<int64_t>(due_ns - environment_.world.clock.wall_now(), 0, longest);
  flights_[effect.ordinal].timer = environment_.world.executor.post_at(
      environment_.world.clock.mono_now() + left,
      [weak = weak_from_this(), ordinal = effect.ordinal] {
        const auto self = weak.lock();
        if (!self || self->ended_) return;
        const auto flight = self->flights_.find(ordinal);
        if (flight != self->flights_.end()) flight->second.timer = 0;
        const auto in_flight = self->state_.in_flight.find(ordinal);
        if (in_flight == self->state_.in_flight.end()) return;
        const run::Effect& due = in_flight->second;
        tape::RunEvent event;
        if (due.kind == run::EffectKind::kTimer) {
          event.mutable_timer_fired()->set_ordinal(ordinal);
        } else {
          const auto known = self->approvals_.find(due.approval_id);
          if (known != self->approvals_.end() && known->second.has_decision()) return;
          auto& decided = *event.mutable_approval_decided();
          decided.set_ordinal(ordinal);
          decided.set_approval_id(due.approval_id);
          decided.set_turn(due.turn);
          decided.set_call_index(due.call_index);
          decided.set_verdict(tape::APPROVAL_VERDICT_EXPIRED);
          decided.set_reason("nobody decided in time");
          if (known != self->approvals_.end()) *known->second.mutable_decision() = decided;
        }
        self->post(std::move(event));
      });
}

Task<void> RunLoop::run_model(run::Wanted wanted) {
  const auto self = shared_from_this();
  text_.clear();
  reasoning_.clear();
  partial_size_ = 0;
  partial_ns_ = environment_.world.clock.mono_now();
  const CancelToken cancel = flights_[wanted.ordinal].cancel;

  if (!request_) {
    // After a restart: the model is shown what the tape says that it is shown. If some of that is
    // gone, what the session holds now.
    Status status;
    auto as_it_was = co_await compile_again(environment_, state_, state_.turn()->gathered);
    if (ended_) co_return;
    if (!as_it_was.ok()) {
      status = as_it_was.status();
    } else if (*as_it_was) {
      request_ = std::move(**as_it_was);
    } else {
      auto gathered =
          co_await gather_context(environment_, session_, state_, wanted.ordinal, wanted.turn);
      if (ended_) co_return;
      status = gathered.status();
      if (gathered.ok()) request_ = std::move(gathered->request);
    }
    if (!request_) {
      tape::RunEvent event;
      auto& failed = *event.mutable_model_turn_failed();
      failed.set_ordinal(wanted.ordinal);
      failed.set_turn(wanted.turn);
      failed.set_attempt(wanted.attempt);
      failed.set_kind(service::FAILURE_KIND_UNAVAILABLE);
      fill(*failed.mutable_failure(), status, true);
      post(std::move(event));
      co_return;
    }
  }
  // The prompt is kept for another attempt.
  Serialised<service::ChatRequest> request;
  request.bytes = run::with_max_output_tokens(*request_, wanted.max_output_tokens);
  const std::string& model = state_.created.agent().model();
  const std::string instance = model.substr(0, model.find('/'));

  std::vector<palyra::common::v1::ToolCall> calls;
  bool too_long = false;
  const uint64_t ordinal = wanted.ordinal;
  // Named: GCC 12 destroys closures twice that are temporaries of a co_await.
  std::function<void(const service::ChatEvent&)> on_event =
      [this, self, &calls, &too_long, cancel, ordinal](const service::ChatEvent& event) {
        if (ended_ || too_long || state_.in_flight.count(ordinal) == 0) return;
        if (event.has_text_delta()) {
          text_ += event.text_delta();
          hub_->add_text(event.text_delta());
        } else if (event.has_reasoning_delta()) {
          reasoning_ += event.reasoning_delta();
          hub_->add_reasoning(event.reasoning_delta());
        } else if (event.has_tool_call()) {
          calls.push_back(event.tool_call());
          return;
        } else {
          return;
        }
        if (text_.size() + reasoning_.size() > kTurnBytes) {
          too_long = true;
          cancel.cancel();
          return;
        }
        maybe_store_partial();
      };
  const ChatOutcome outcome = co_await environment_.world.providers.chat(
      instance, std::move(request), std::move(on_event), cancel);
  if (ended_ || state_.in_flight.count(ordinal) == 0) co_return;
  if (partial_writing_) {
    // A partial that lands after the result would never be removed.
    partial_idle_.emplace();
    const Slot<bool> idle = *partial_idle_;
    co_await idle;
    if (ended_) co_return;
  }
  if (state_.in_flight.count(wanted.ordinal) == 0) co_return;

  if (outcome.status.ok() && !too_long) {
    tape::RunEvent event;
    auto& finished = *event.mutable_model_turn_finished();
    finished.set_ordinal(wanted.ordinal);
    finished.set_turn(wanted.turn);
    finished.set_attempt(wanted.attempt);
    finished.set_text(text_);
    finished.set_reasoning(reasoning_);
    for (auto& call : calls) *finished.add_tool_calls() = std::move(call);
    finished.set_finish_reason(outcome.result.finish_reason());
    *finished.mutable_usage() = outcome.result.usage();
    post(std::move(event));
    co_return;
  }
  if (stopping_) co_return interrupt(wanted.ordinal, "the run was stopped");
  Status status = outcome.status;
  if (too_long) {
    status = Status(Code::kResourceExhausted,
                    "the model wrote more than 1 MiB in one turn and was cut off");
  }
  const auto kind =
      too_long ? service::FAILURE_KIND_BAD_REQUEST : kind_of(status, outcome.failure.kind());
  tape::RunEvent event;
  auto& failed = *event.mutable_model_turn_failed();
  failed.set_ordinal(wanted.ordinal);
  failed.set_turn(wanted.turn);
  failed.set_attempt(wanted.attempt);
  failed.set_kind(kind);
  failed.set_retry_after_ms(outcome.failure.retry_after_ms());
  if (outcome.failure.has_usage()) *failed.mutable_usage() = outcome.failure.usage();
  fill(*failed.mutable_failure(), status, transient(kind));
  post(std::move(event));
}

void RunLoop::maybe_store_partial() {
  const size_t size = text_.size() + reasoning_.size();
  const int64_t now = environment_.world.clock.mono_now();
  const bool due = now - partial_ns_ >= environment_.options.partial_every_ms * kNanosPerMilli ||
                   size - partial_size_ >= environment_.options.partial_bytes;
  if (!due || partial_writing_ || size > kPartialBytes) return;
  partial_size_ = size;
  partial_ns_ = now;
  partial_writing_ = true;
  partial_stored_ = true;
  environment_.tasks.spawn(store_partial());
}

Task<void> RunLoop::store_partial() {
  const auto self = shared_from_this();
  tape::ModelTurnInterrupted partial;
  if (const run::Effect* effect = run::model_in_flight(state_)) {
    partial.set_ordinal(effect->ordinal);
    partial.set_turn(effect->turn);
    partial.set_attempt(effect->attempt);
  }
  partial.set_partial_text(text_);
  service::CommitRequest request;
  auto& put = *request.add_puts();
  put.set_collection(kPartials);
  put.set_key(state_.run_id());
  put.set_value(partial.SerializeAsString());
  // A partial that is not stored costs only what is shown after a crash.
  const auto response = co_await session_->commit(std::move(request));
  static_cast<void>(response.ok());
  partial_writing_ = false;
  if (auto idle = std::exchange(partial_idle_, std::nullopt)) idle->set(true);
}

void RunLoop::interrupt(uint64_t ordinal, const std::string& reason) {
  const auto effect = state_.in_flight.find(ordinal);
  if (effect == state_.in_flight.end()) return;
  const std::string shown(utf8::prefix(text_, kPartialBytes));
  for (auto& event : run::interrupt_effect(state_, effect->second, shown, reason)) {
    post(std::move(event));
  }
}

api::RunStreamEvent RunLoop::progress_event(const run::Wanted& wanted,
                                            const std::string& text) const {
  api::RunStreamEvent event;
  auto& progress = *event.mutable_tool_progress();
  progress.set_turn(wanted.turn);
  progress.set_call_index(wanted.call_index);
  progress.set_text(std::string(utf8::prefix(text, 4096)));
  return event;
}

Task<void> RunLoop::run_tool(run::Wanted wanted) {
  const auto self = shared_from_this();
  const run::Turn* turn = state_.turn();
  if (turn == nullptr || wanted.call_index >= turn->calls.size()) co_return;
  const CancelToken cancel = flights_[wanted.ordinal].cancel;
  tape::RunEvent event;
  if (replay::answers_recorded(state_.created)) {
    event = co_await recall(wanted);
  } else {
    event = co_await call_tool(wanted, turn->calls[wanted.call_index].call, cancel);
  }
  if (ended_ || state_.in_flight.count(wanted.ordinal) == 0) co_return;
  if (event.event_case() == tape::RunEvent::EVENT_NOT_SET) co_return;
  post(std::move(event));
}

// Before a call whose tool is away is made again: 0.1 s, 0.2 s, ..., 3.2 s, so that the plugin has
// time to come back before the attempts are used up. Ends early if the call is cancelled.
Task<void> RunLoop::pause(uint32_t attempt, CancelToken cancel) {
  const int64_t ms = int64_t{100} << std::min<uint32_t>(std::max<uint32_t>(attempt, 1) - 1, 5);
  Slot<bool> over;
  Executor& executor = environment_.world.executor;
  const TimerId timer = executor.post_at(environment_.world.clock.mono_now() + ms * kNanosPerMilli,
                                         [over] { over.set(true); });
  cancel.on_cancel([over] { over.set(false); });
  const bool waited = co_await over;
  if (!waited) executor.cancel(timer);
}

// The record of the result; without a field if the interruption was posted instead.
Task<tape::RunEvent> RunLoop::call_tool(run::Wanted wanted, palyra::common::v1::ToolCall call,
                                        CancelToken cancel) {
  const int64_t begun_ns = environment_.world.clock.mono_now();
  const auto catalogue = environment_.world.tools.catalogue();
  const auto found = catalogue->tools.find(call.name());
  const auto& judgement = state_.turn()->calls[wanted.call_index].judgement;
  const auto provenance = judgement.provenance();
  const int64_t timeout_ms = judgement.timeout_ms() > 0 ? judgement.timeout_ms() : 60'000;
  const int64_t deadline = begun_ns + timeout_ms * kNanosPerMilli;

  tape::RunEvent event;
  service::ToolContext context;
  context.set_run_id(state_.run_id());
  context.set_session_id(session_->id());
  context.set_agent_id(state_.created.agent().agent_id());
  context.set_principal(state_.created.principal());
  *context.mutable_workspace_roots() = state_.created.agent().workspace_roots();

  Status status;
  service::InvokeResult result;
  if (found == catalogue->tools.end()) {
    if (wanted.verify || wanted.attempt > 1) {
      co_await pause(wanted.attempt, cancel);
      if (ended_) co_return event;
      interrupt(wanted.ordinal, "the tool " + call.name() + " is gone");
      co_return event;
    }
    status = Status(Code::kNotFound, "there is no tool \"" + call.name() + "\" any more");
  } else if (wanted.verify) {
    service::VerifyCallRequest request;
    request.set_name(call.name());
    request.set_arguments_json(call.arguments_json());
    request.set_idempotency_key(run::idempotency_key(state_.run_id(), wanted.ordinal));
    *request.mutable_context() = context;
    auto verified = co_await environment_.world.tools.verify(found->second.instance,
                                                             std::move(request), deadline);
    if (ended_) co_return event;
    const auto outcome = verified.ok() ? verified->outcome() : service::CALL_OUTCOME_UNKNOWN;
    if (outcome == service::CALL_OUTCOME_NOT_HAPPENED) {
      auto& answer = *event.mutable_tool_call_verified();
      answer.set_ordinal(wanted.ordinal);
      answer.set_turn(wanted.turn);
      answer.set_call_index(wanted.call_index);
      answer.set_attempt(wanted.attempt);
      answer.set_outcome(outcome);
      co_return event;
    }
    if (outcome != service::CALL_OUTCOME_HAPPENED) {
      auto& unknown = *event.mutable_tool_call_unknown();
      unknown.set_ordinal(wanted.ordinal);
      unknown.set_turn(wanted.turn);
      unknown.set_call_index(wanted.call_index);
      unknown.set_attempt(wanted.attempt);
      unknown.set_explanation("the call was cut off, and " + call.name() +
                              " cannot say whether it happened" +
                              (verified.ok() ? "" : ": " + verified.status().message()));
      co_return event;
    }
    result = std::move(*verified->mutable_result());
  } else {
    service::InvokeRequest request;
    request.set_name(call.name());
    request.set_arguments_json(call.arguments_json());
    request.set_idempotency_key(run::idempotency_key(state_.run_id(), wanted.ordinal));
    request.set_attempt(wanted.attempt);
    *request.mutable_context() = context;
    const auto self = shared_from_this();
    std::function<void(const service::InvokeProgress&)> on_progress =
        [self, wanted](const service::InvokeProgress& progress) {
          if (!self->ended_) self->hub_->show(self->progress_event(wanted, progress.text()));
        };
    auto invoked = co_await environment_.world.tools.invoke(
        found->second.instance, std::move(request), deadline, std::move(on_progress), cancel);
    if (ended_ || state_.in_flight.count(wanted.ordinal) == 0) co_return event;
    if (invoked.ok()) {
      result = std::move(*invoked);
    } else {
      status = invoked.status();
      // A repeatable call that ran out of time would only run out of time again.
      const bool told = status.code() == Code::kDeadlineExceeded &&
                        (wanted.effect_class == palyra::common::v1::EFFECT_CLASS_NONE ||
                         wanted.effect_class == palyra::common::v1::EFFECT_CLASS_IDEMPOTENT);
      if (cut_off(status) && !told) {
        const bool repeats = wanted.effect_class != palyra::common::v1::EFFECT_CLASS_OPAQUE &&
                             wanted.effect_class != palyra::common::v1::EFFECT_CLASS_UNSPECIFIED;
        if (repeats && status.code() == Code::kUnavailable) {
          co_await pause(wanted.attempt, cancel);
          if (ended_) co_return event;
        }
        interrupt(wanted.ordinal, call.name() + ": " + status.message());
        co_return event;
      }
    }
  }

  auto& finished = *event.mutable_tool_call_finished();
  finished.set_ordinal(wanted.ordinal);
  finished.set_turn(wanted.turn);
  finished.set_call_index(wanted.call_index);
  finished.set_attempt(wanted.attempt);
  finished.set_duration_ms((environment_.world.clock.mono_now() - begun_ns) / kNanosPerMilli);
  if (!status.ok()) {
    finished.set_is_error(true);
    finished.set_content(call.name() + " failed: " + status.message());
    finished.set_content_size(static_cast<int64_t>(finished.content().size()));
    finished.set_provenance(palyra::common::v1::PROVENANCE_OPERATOR);
    fill(*finished.mutable_failure(), status, status.retryable());
    co_return event;
  }
  std::string content = utf8::repaired(std::move(*result.mutable_content()));
  finished.set_content_size(static_cast<int64_t>(content.size()));
  finished.set_is_error(result.is_error());
  finished.set_media_type(utf8::repaired(result.media_type()));
  finished.set_provenance(provenance);
  if (content.size() > kInlineBytes) {
    int64_t backoff = 100 * kNanosPerMilli;
    while (!ended_) {
      auto digest = co_await environment_.world.journal.put_blob(content);
      if (digest.ok()) {
        finished.set_blob_digest(*digest);
        break;
      }
      if (ended_ || environment_.stopping) co_return tape::RunEvent();
      co_await sleep_until(environment_.world.executor,
                           environment_.world.clock.mono_now() + backoff);
      backoff = std::min<int64_t>(backoff * 2, 5 * kNanosPerSecond);
    }
    content.resize(utf8::prefix(content, kInlineBytes).size());
  }
  finished.set_content(std::move(content));
  co_return event;
}

}  // namespace palyra::gateway
