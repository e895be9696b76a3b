#include "plugins/gateway/run/evolve.h"

#include "plugins/common/digest/digest.h"
#include "plugins/gateway/run/compaction.h"
#include "plugins/gateway/run/compaction_state.h"
#include "plugins/gateway/run/flight.h"
#include "plugins/gateway/run/inputs.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace palyra::gateway::run {
namespace {

// Attempts of a model turn that may fail before the run does: the first and two retries.
constexpr uint32_t kModelFailures = 3;

void corrupt(State& state, uint64_t seq, std::string_view why) {
  if (!state.corrupt.empty()) return;
  state.corrupt = "record " + std::to_string(seq) + " of run " + state.run_id() + ": ";
  state.corrupt += why;
}

Turn* turn_of(State& state, uint32_t number) {
  return number >= 1 && number == state.turns.size() ? &state.turns.back() : nullptr;
}

Call* call_of(State& state, uint32_t turn_number, uint32_t index) {
  Turn* turn = turn_of(state, turn_number);
  if (turn == nullptr || turn->phase != TurnPhase::kTools) return nullptr;
  return index < turn->calls.size() ? &turn->calls[index] : nullptr;
}

// The call has what the model will be told.
void close_call(State& state, Call& call, std::string content, bool is_error) {
  call.phase = CallPhase::kDone;
  call.content = std::move(content);
  call.is_error = is_error;
  std::string key = digest::sha256(call.call.name() + '\0' + call.call.arguments_json());
  if (!is_error || call.unknown) {
    state.repeats.erase(key);
    return;
  }
  State::Repeat& repeat = state.repeats[std::move(key)];
  std::string error = digest::sha256(call.content);
  repeat.count = repeat.error == error ? repeat.count + 1 : 1;
  repeat.error = std::move(error);
  if (repeat.count >= state.limits().max_repeated_failures()) {
    state.repeated_tool = call.call.name().empty() ? "unnamed" : call.call.name();
  }
}

void close_unknown(State& state, Call& call, const std::string& explanation) {
  call.unknown = true;
  call.provenance = common::PROVENANCE_OPERATOR;
  close_call(state, call,
             "It is not known whether this call took effect: " + explanation +
                 " It was not repeated. Find out before you call the tool again.",
             true);
}

void deny(State& state, Call& call, std::string why) {
  call.provenance = common::PROVENANCE_OPERATOR;
  close_call(state, call, std::move(why), true);
}

void fold(State& state, const tape::RunCreated& event, uint64_t seq) {
  if (state.exists()) return corrupt(state, seq, "a second run_created");
  state.created = event;
  *state.created.mutable_limits() = with_defaults(event.limits());
  state.start_after_ms = event.start_after_ms();
  state.phase = Phase::kQueued;
}

void fold(State& state, const tape::RunStarted& event, uint64_t seq) {
  if (state.phase != Phase::kQueued) return corrupt(state, seq, "a second run_started");
  state.started = event;
  state.fence = event.fence();
  state.phase = Phase::kActive;
  if (event.loop_version() > kLoopVersion) {
    corrupt(state, seq,
            "made by loop version " + std::to_string(event.loop_version()) +
                ", newer than this daemon's " + std::to_string(kLoopVersion));
  }
}

// The turn needs nothing any more and another may follow.
bool is_over(const State& state) {
  const Turn& turn = state.turns.back();
  if (turn.phase == TurnPhase::kClosed) return true;
  if (turn.phase == TurnPhase::kAnswer && has_unseen_input(state)) return true;
  if (is_interrupting(state) && state.in_flight.empty()) return true;
  return turn.phase == TurnPhase::kTools &&
         std::all_of(turn.calls.begin(), turn.calls.end(),
                     [](const Call& call) { return call.phase == CallPhase::kDone; });
}

void fold(State& state, const tape::ContextStarted& event, int64_t now, uint64_t seq) {
  Effect effect;
  effect.turn = event.turn();
  Turn* turn = turn_of(state, event.turn());
  if (turn == nullptr) {
    const bool follows =
        event.turn() == state.turns.size() + 1 && (state.turns.empty() || is_over(state));
    Turn next;
    next.number = event.turn();
    if (!follows || !begin(state, event.start(), next.context, effect, now)) {
      return corrupt(state, seq, "a context_started that does not follow");
    }
    if (!state.turns.empty()) {
      state.turns.back().phase = TurnPhase::kClosed;
      for (Call& call : state.turns.back().calls) {
        if (call.phase != CallPhase::kDone) overtake(call);
      }
    }
    state.turns.push_back(std::move(next));
  } else if (turn->phase != TurnPhase::kContext ||
             !begin(state, event.start(), turn->context, effect, now)) {
    corrupt(state, seq, "a context_started that does not follow");
  }
}

void fold(State& state, const tape::ContextGathered& event) {
  Effect* effect = flying(state, event.ordinal(), EffectKind::kContext);
  Turn* turn = effect != nullptr ? turn_of(state, effect->turn) : nullptr;
  if (turn == nullptr) return;
  land(state, event.ordinal());
  turn->gathered = event;
  turn->phase = TurnPhase::kModel;
  if (state.compacts()) {
    compact_first(state, *turn, tape::COMPACTION_TRIGGER_COMMAND);
  } else if (event.compaction_wanted()) {
    compact_first(state, *turn, tape::COMPACTION_TRIGGER_BUDGET);
  }
}

void fold(State& state, const tape::ModelTurnStarted& event, int64_t now, uint64_t seq) {
  Turn* turn = turn_of(state, event.turn());
  Effect effect;
  effect.kind = EffectKind::kModel;
  effect.turn = event.turn();
  // A compaction that the budget does not pay for is left out.
  const bool follows = turn != nullptr && !turn->failed && !state.compacts() &&
                       (turn->phase == TurnPhase::kModel || turn->phase == TurnPhase::kCompact);
  if (!follows || !begin(state, event.start(), turn->model, effect, now)) {
    return corrupt(state, seq, "a model_turn_started that does not follow");
  }
  turn->phase = TurnPhase::kModel;
}

// The turn whose model attempt in flight the result is for, which is landed.
Turn* land_model(State& state, uint64_t ordinal, uint32_t attempt, int64_t& reserved) {
  Effect* effect = flying(state, ordinal, EffectKind::kModel);
  if (effect == nullptr || effect->attempt != attempt) return nullptr;
  Turn* turn = turn_of(state, effect->turn);
  if (turn == nullptr) return nullptr;
  reserved = land(state, ordinal).reserved_tokens;
  return turn;
}

void interrupt_model(State& state, uint64_t ordinal, uint32_t attempt, const std::string& partial,
                     uint64_t seq) {
  int64_t reserved = 0;
  Turn* turn = land_model(state, ordinal, attempt, reserved);
  if (turn == nullptr) return;
  settle(state, reserved, reserved);
  if (is_interrupting(state)) {
    turn->cut = true;
    turn->text = partial;
    turn->finished_seq = partial.empty() ? 0 : seq;
    turn->phase = TurnPhase::kAnswer;
    return;
  }
  if (++turn->interruptions < kInterruptions) return;
  turn->failed = true;
  turn->failure.set_code(14);
  turn->failure.set_message("The model turn was cut off " + std::to_string(kInterruptions) +
                            " times; look at the daemon's log for why it stops.");
}

void fold(State& state, const tape::ModelTurnFinished& event, uint64_t seq) {
  int64_t reserved = 0;
  Turn* turn = land_model(state, event.ordinal(), event.attempt(), reserved);
  if (turn == nullptr) return;
  settle(state, tokens_of(event.usage()), reserved);
  add_usage(state, event.usage());
  turn->text = event.text();
  turn->reasoning = event.reasoning();
  turn->finish_reason = event.finish_reason();
  turn->finished_seq = seq;
  turn->phase = event.tool_calls().empty() ? TurnPhase::kAnswer : TurnPhase::kTools;
  for (const common::ToolCall& proposed : event.tool_calls()) {
    Call call;
    call.call = proposed;
    turn->calls.push_back(std::move(call));
  }
  state.tool_calls += static_cast<uint32_t>(event.tool_calls_size());
}

bool may_retry(const tape::ModelTurnFailed& event) {
  switch (event.kind()) {
    case service::FAILURE_KIND_AUTH:
    case service::FAILURE_KIND_QUOTA:
    case service::FAILURE_KIND_BAD_REQUEST:
    case service::FAILURE_KIND_CONTEXT_OVERFLOW:
    case service::FAILURE_KIND_MODEL_NOT_FOUND:
      return false;
    default:
      return event.failure().retryable();
  }
}

// What a failed attempt costs if the provider did not say: nothing if it was refused.
int64_t cost_of(service::FailureKind kind, int64_t reserved) {
  switch (kind) {
    case service::FAILURE_KIND_UNSPECIFIED:
    case service::FAILURE_KIND_UNAVAILABLE:
    case service::FAILURE_KIND_TIMEOUT:
    case service::FAILURE_KIND_PROTOCOL:
      return reserved;
    default:
      return 0;
  }
}

void fold(State& state, const tape::ModelTurnFailed& event) {
  int64_t reserved = 0;
  Turn* turn = land_model(state, event.ordinal(), event.attempt(), reserved);
  if (turn == nullptr) return;
  settle(state, event.has_usage() ? tokens_of(event.usage()) : cost_of(event.kind(), reserved),
         reserved);
  if (event.has_usage()) add_usage(state, event.usage());
  const bool same = turn->failures > 0 && turn->failure_kind == event.kind() &&
                    turn->failure.message() == event.failure().message();
  turn->same_failures = same ? turn->same_failures + 1 : 1;
  ++turn->failures;
  turn->failure = event.failure();
  turn->failure_kind = event.kind();
  turn->retry_after_ms = event.retry_after_ms();
  turn->failed = !may_retry(event) || turn->failures >= kModelFailures ||
                 turn->same_failures >= state.limits().max_repeated_failures();
  turn->phase = TurnPhase::kWaiting;
  turn->timer = {};
  if (event.kind() == service::FAILURE_KIND_CONTEXT_OVERFLOW && compactable(turn->gathered) &&
      turn->failures < kModelFailures) {
    turn->failed = !compact_first(state, *turn, tape::COMPACTION_TRIGGER_OVERFLOW);
  }
}

void fold(State& state, const tape::TimerStarted& event, int64_t now, uint64_t seq) {
  Turn* turn = state.turn();
  Effect effect;
  effect.kind = EffectKind::kTimer;
  effect.due_ms = event.due_ms();
  if (turn != nullptr) effect.turn = turn->number;
  if (turn == nullptr || turn->phase != TurnPhase::kWaiting || turn->failed ||
      !begin(state, event.start(), turn->timer, effect, now)) {
    corrupt(state, seq, "a timer_started that does not follow");
  }
}

void fold(State& state, const tape::TimerFired& event) {
  Effect* effect = flying(state, event.ordinal(), EffectKind::kTimer);
  Turn* turn = effect != nullptr ? turn_of(state, effect->turn) : nullptr;
  if (turn == nullptr) return;
  land(state, event.ordinal());
  if (turn->phase == TurnPhase::kWaiting) turn->phase = TurnPhase::kModel;
}

Effect effect_of_call(EffectKind kind, uint32_t turn, uint32_t call_index) {
  Effect effect;
  effect.kind = kind;
  effect.turn = turn;
  effect.call_index = call_index;
  return effect;
}

void fold(State& state, const tape::PolicyStarted& event, int64_t now, uint64_t seq) {
  Call* call = call_of(state, event.turn(), event.call_index());
  const auto effect = effect_of_call(EffectKind::kPolicy, event.turn(), event.call_index());
  const bool follows = call != nullptr && event.round() == call->round &&
                       (call->phase == CallPhase::kProposed || call->phase == CallPhase::kApproved);
  if (!follows || !begin(state, event.start(), call->policy, effect, now)) {
    corrupt(state, seq, "a policy_started that does not follow");
  }
}

// The call that a result in flight is for, which is landed.
Call* land_call(State& state, uint64_t ordinal, EffectKind kind) {
  Effect* effect = flying(state, ordinal, kind);
  Call* call = effect != nullptr ? call_of(state, effect->turn, effect->call_index) : nullptr;
  if (call != nullptr) land(state, ordinal);
  return call;
}

void fold(State& state, const tape::PolicyEvaluated& event) {
  Call* call = land_call(state, event.ordinal(), EffectKind::kPolicy);
  if (call == nullptr) return;
  call->judgement = event;
  if (event.effect_class() == common::EFFECT_CLASS_UNSPECIFIED) {
    call->judgement.set_effect_class(common::EFFECT_CLASS_OPAQUE);
  }
  const std::string by = event.rule().empty() ? "" : " (rule " + event.rule() + ")";
  if (event.verdict() == tape::VERDICT_ALLOW) {
    call->phase = CallPhase::kReady;
  } else if (event.verdict() == tape::VERDICT_ASK) {
    // The question was answered; it stands only if it is still the same rule that asks.
    if (call->phase == CallPhase::kApproved && event.rule_digest() == call->asked.rule_digest() &&
        event.rule() == call->asked.rule()) {
      call->phase = CallPhase::kReady;
      return;
    }
    call->asked = call->judgement;
    call->approval = {};
    call->phase = CallPhase::kAsk;
    if (state.created.ask_mode() == tape::ASK_MODE_DENY) {
      deny(state, *call,
           "The policy asks a person before this call" + by +
               ", and nobody can be asked in this run. Do without it.");
    }
  } else {
    deny(state, *call,
         "The policy denies this call" + by + ": " +
             (event.explanation().empty() ? "it gave no answer." : event.explanation()));
  }
}

void fold(State& state, const tape::ApprovalRequested& event, int64_t now, uint64_t seq) {
  Call* call = call_of(state, event.turn(), event.call_index());
  Effect effect = effect_of_call(EffectKind::kApproval, event.turn(), event.call_index());
  effect.approval_id = event.approval_id();
  effect.due_ms = event.expires_at_ms();
  if (call == nullptr || call->phase != CallPhase::kAsk ||
      !begin(state, event.start(), call->approval, effect, now)) {
    corrupt(state, seq, "an approval_requested that does not follow");
  }
}

void fold(State& state, const tape::ApprovalDecided& event) {
  Effect* effect = flying(state, event.ordinal(), EffectKind::kApproval);
  if (effect == nullptr || effect->approval_id != event.approval_id()) return;
  Call* call = land_call(state, event.ordinal(), EffectKind::kApproval);
  if (call == nullptr) return;
  if (event.verdict() == tape::APPROVAL_VERDICT_ALLOW) {
    call->phase = CallPhase::kApproved;
    ++call->round;
    call->policy = {};
  } else if (event.decided_by().empty() && is_interrupting(state)) {
    overtake(*call);
  } else if (event.verdict() == tape::APPROVAL_VERDICT_DENY) {
    deny(state, *call,
         "A person denied this call" + (event.reason().empty() ? "." : ": " + event.reason()));
  } else {
    deny(state, *call, "Nobody approved this call in time; it was not made.");
  }
}

void fold(State& state, const tape::ToolCallStarted& event, int64_t now, uint64_t seq) {
  Call* call = call_of(state, event.turn(), event.call_index());
  Effect effect = effect_of_call(EffectKind::kTool, event.turn(), event.call_index());
  effect.verify = event.verify();
  bool follows =
      call != nullptr && call->phase == CallPhase::kReady && event.verify() == call->check_first;
  if (follows) {
    effect.effect_class = call->judgement.effect_class();
    follows = call->tool.attempt == 0 || effect.effect_class != common::EFFECT_CLASS_OPAQUE;
  }
  if (!follows || !begin(state, event.start(), call->tool, effect, now)) {
    return corrupt(state, seq, "a tool_call_started that does not follow");
  }
  call->executed = true;
}

// As land_call, for a result of the attempt in flight only.
Call* land_tool(State& state, uint64_t ordinal, uint32_t attempt, bool* verify = nullptr) {
  Effect* effect = flying(state, ordinal, EffectKind::kTool);
  if (effect == nullptr || effect->attempt != attempt) return nullptr;
  if (verify != nullptr) *verify = effect->verify;
  return land_call(state, ordinal, EffectKind::kTool);
}

void fold(State& state, const tape::ToolCallFinished& event) {
  Call* call = land_tool(state, event.ordinal(), event.attempt());
  if (call == nullptr) return;
  call->blob_digest = event.blob_digest();
  call->provenance = event.provenance() != common::PROVENANCE_UNSPECIFIED
                         ? event.provenance()
                         : call->judgement.provenance();
  std::string content = event.content();
  if (content.empty() && event.has_failure()) content = event.failure().message();
  close_call(state, *call, std::move(content), event.is_error() || event.has_failure());
}

void fold(State& state, const tape::ToolCallUnknown& event) {
  Call* call = land_tool(state, event.ordinal(), event.attempt());
  if (call != nullptr) close_unknown(state, *call, event.explanation());
}

void fold(State& state, const tape::ToolCallVerified& event) {
  bool verify = false;
  Call* call = land_tool(state, event.ordinal(), event.attempt(), &verify);
  if (call == nullptr) return;
  if (verify && event.outcome() == service::CALL_OUTCOME_NOT_HAPPENED) {
    call->check_first = false;
  } else {
    close_unknown(state, *call, "the tool could not say.");
  }
}

void fold(State& state, const tape::EffectInterrupted& event, uint64_t seq) {
  const auto found = state.in_flight.find(event.ordinal());
  if (found == state.in_flight.end() || found->second.attempt != event.attempt()) return;
  const Effect effect = found->second;
  switch (effect.kind) {
    case EffectKind::kContext:
    case EffectKind::kPolicy:
      land(state, effect.ordinal);
      return;
    case EffectKind::kModel:
      return interrupt_model(state, effect.ordinal, effect.attempt, "", seq);
    case EffectKind::kCompaction:
      return interrupt_compaction(state, effect.ordinal, effect.attempt);
    case EffectKind::kApproval:
    case EffectKind::kTimer:
      return;
    case EffectKind::kTool:
      break;
  }
  Call* call = land_call(state, effect.ordinal, EffectKind::kTool);
  if (call == nullptr) return;
  const bool overtaken = is_interrupting(state);
  if (overtaken && effect.effect_class == common::EFFECT_CLASS_NONE) return stop_harmless(*call);
  if (++call->interruptions >= kInterruptions || overtaken || state.stopping() ||
      effect.effect_class == common::EFFECT_CLASS_OPAQUE) {
    return close_unknown(state, *call, event.reason().empty() ? "it was cut off." : event.reason());
  }
  call->check_first = effect.effect_class == common::EFFECT_CLASS_VERIFIABLE;
}

void fold(State& state, const tape::AnswerRejected& event, uint64_t seq) {
  Turn* turn = turn_of(state, event.turn());
  if (turn == nullptr || turn->phase != TurnPhase::kAnswer) {
    return corrupt(state, seq, "an answer_rejected without an answer");
  }
  turn->rejected = event.reason().empty() ? "It was refused." : event.reason();
  turn->phase = TurnPhase::kClosed;
  ++state.rejections;
}

void conclude(State& state, Phase phase) {
  state.phase = phase;
  state.settled_tokens = add(state.settled_tokens, state.reserved_tokens);
  state.reserved_tokens = 0;
  state.in_flight.clear();
}

}  // namespace

void evolve(State& state, const tape::RunEvent& event, int64_t wall_time_ns, uint64_t seq) {
  if (state.terminal()) return;
  if (run_state(state) == api::RUN_STATE_RUNNING && wall_time_ns > state.last_ns &&
      event.event_case() != tape::RunEvent::kRunResumed) {
    int64_t passed = 0;
    if (__builtin_sub_overflow(wall_time_ns, state.last_ns, &passed)) {
      passed = std::numeric_limits<int64_t>::max();
    }
    state.running_ns = add(state.running_ns, passed);
  }
  state.last_ns = wall_time_ns;
  state.last_seq = seq;

  using E = tape::RunEvent;
  const E::EventCase type = event.event_case();
  if (state.phase == Phase::kNone && type != E::kRunCreated) {
    corrupt(state, seq, "the tape does not begin with run_created");
  } else if (state.phase == Phase::kQueued && type != E::kRunCreated && type != E::kRunStarted &&
             type != E::kRunResumed && type != E::kCancelRequested && type != E::kRunCancelled &&
             type != E::kRunFailed && type != E::kLimitReached && type != E::kInputAdded) {
    corrupt(state, seq, "the run has not started");
  }
  switch (type) {
    case E::kRunCreated:
      return fold(state, event.run_created(), seq);
    case E::kRunStarted:
      return fold(state, event.run_started(), seq);
    case E::kRunResumed:
      state.fence = event.run_resumed().fence();
      return;
    case E::kContextStarted:
      return fold(state, event.context_started(), wall_time_ns, seq);
    case E::kContextGathered:
      return fold(state, event.context_gathered());
    case E::kModelTurnStarted:
      return fold(state, event.model_turn_started(), wall_time_ns, seq);
    case E::kModelTurnInterrupted:
      return interrupt_model(state, event.model_turn_interrupted().ordinal(),
                             event.model_turn_interrupted().attempt(),
                             event.model_turn_interrupted().partial_text(), seq);
    case E::kModelTurnFinished:
      return fold(state, event.model_turn_finished(), seq);
    case E::kModelTurnFailed:
      return fold(state, event.model_turn_failed());
    case E::kPolicyStarted:
      return fold(state, event.policy_started(), wall_time_ns, seq);
    case E::kPolicyEvaluated:
      return fold(state, event.policy_evaluated());
    case E::kApprovalRequested:
      return fold(state, event.approval_requested(), wall_time_ns, seq);
    case E::kApprovalDecided:
      return fold(state, event.approval_decided());
    case E::kToolCallStarted:
      return fold(state, event.tool_call_started(), wall_time_ns, seq);
    case E::kToolCallFinished:
      return fold(state, event.tool_call_finished());
    case E::kToolCallUnknown:
      return fold(state, event.tool_call_unknown());
    case E::kToolCallVerified:
      return fold(state, event.tool_call_verified());
    case E::kEffectInterrupted:
      return fold(state, event.effect_interrupted(), seq);
    case E::kTimerStarted:
      return fold(state, event.timer_started(), wall_time_ns, seq);
    case E::kTimerFired:
      return fold(state, event.timer_fired());
    case E::kCancelRequested:
      if (!state.cancel) state.cancel = event.cancel_requested();
      return;
    case E::kLimitReached:
      state.time_is_up = true;
      return;
    case E::kAnswerRejected:
      return fold(state, event.answer_rejected(), seq);
    case E::kRunCompleted:
      state.final_text = event.run_completed().text();
      return conclude(state, Phase::kCompleted);
    case E::kRunFailed:
      state.failure = event.run_failed().failure();
      return conclude(state, Phase::kFailed);
    case E::kRunCancelled:
      return conclude(state, Phase::kCancelled);
    case E::kInputAdded:
      return add_input(state, event.input_added(), seq);
    case E::kCompactionStarted:
      if (start_compaction(state, event.compaction_started(), wall_time_ns)) return;
      return corrupt(state, seq, "a compaction_started that does not follow");
    case E::kCompactionFinished:
      return finish_compaction(state, event.compaction_finished());
    case E::kCompactionFailed:
      return fail_compaction(state, event.compaction_failed());
    case E::EVENT_NOT_SET:
      return corrupt(state, seq, "a type that this version does not know");
  }
  corrupt(state, seq, "a type that this version does not know");
}

}  // namespace palyra::gateway::run
