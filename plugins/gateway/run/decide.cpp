#include "plugins/gateway/run/decide.h"

#include "plugins/gateway/run/answer_contract.h"
#include "plugins/gateway/run/compaction.h"
#include "plugins/gateway/run/inputs.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway::run {
namespace {

constexpr int32_t kDeadlineExceeded = 4;
constexpr int32_t kResourceExhausted = 8;
constexpr int32_t kFailedPrecondition = 9;
constexpr int32_t kAborted = 10;
constexpr int32_t kOutOfRange = 11;
constexpr int32_t kUnavailable = 14;

// The wait before a model turn is repeated: 1 s, 2 s, ..., or what the provider asks, at most an
// hour.
constexpr int64_t kRetryMs = 1'000;
constexpr int64_t kLongestRetryMs = 3'600'000;
// A turn that may write less than this is not worth its prompt.
constexpr int64_t kLeastOutput = 64;

void fail(const State& state, Decision& decision, int32_t code, std::string message) {
  tape::RunEvent event;
  tape::RunFailed& failed = *event.mutable_run_failed();
  failed.mutable_failure()->set_code(code);
  failed.mutable_failure()->set_message(std::move(message));
  *failed.mutable_usage() = state.usage;
  for (auto turn = state.turns.rbegin(); turn != state.turns.rend(); ++turn) {
    if (turn->text.empty()) continue;
    failed.set_partial_text(turn->text);
    break;
  }
  decision.append.push_back(std::move(event));
}

// Hands out ordinals in the order in which effects are wanted.
class Wants {
 public:
  Wants(const State& state, Decision& decision)
      : state_(state), decision_(decision), next_(state.next_ordinal) {}

  // Null if the effect is in flight.
  Wanted* want(EffectKind kind, const Slot& slot, uint32_t turn) {
    if (slot.ordinal != 0 && state_.in_flight.count(slot.ordinal) != 0) return nullptr;
    Wanted wanted;
    wanted.kind = kind;
    wanted.ordinal = slot.ordinal != 0 ? slot.ordinal : next_++;
    wanted.attempt = slot.attempt + 1;
    wanted.turn = turn;
    decision_.start.push_back(std::move(wanted));
    return &decision_.start.back();
  }

 private:
  const State& state_;
  Decision& decision_;
  uint64_t next_;
};

void next_turn(const State& state, Decision& decision) {
  if (state.turns.size() >= state.limits().max_turns()) {
    return fail(state, decision, kResourceExhausted,
                "The run reached its limit of " + std::to_string(state.limits().max_turns()) +
                    " model turns without an answer; raise max_turns or ask for less.");
  }
  Wants(state, decision)
      .want(EffectKind::kContext, {}, static_cast<uint32_t>(state.turns.size() + 1));
}

int64_t pinned_tokens(const tape::ContextGathered& gathered) {
  int64_t tokens = 0;
  for (const tape::Segment& segment : gathered.segments()) {
    if (segment.kind() != tape::SEGMENT_KIND_PINNED) continue;
    tokens += std::clamp<int64_t>(segment.tokens(), 0, INT32_MAX);
  }
  return tokens;
}

void model_turn(const State& state, const Turn& turn, Decision& decision) {
  if (state.in_flight.count(turn.model.ordinal) != 0) return;
  const int64_t input = std::max<int64_t>(turn.gathered.tokens(), 0);
  if (turn.gathered.budget_tokens() > 0 && input > turn.gathered.budget_tokens()) {
    const int64_t pinned = pinned_tokens(turn.gathered);
    const std::string pins =
        pinned > 0 ? " (" + std::to_string(pinned) + " of them pinned facts)" : std::string();
    return fail(state, decision, kOutOfRange,
                "What the model must see is " + std::to_string(input) + " tokens" + pins +
                    ", and " + std::to_string(turn.gathered.budget_tokens()) + " fit; " +
                    (pinned > 0 ? "unpin some, " : "") +
                    "shorten the input or use a model with a larger window.");
  }
  const int64_t output = output_budget(state, input);
  if (output <= 0) {
    return fail(state, decision, kResourceExhausted,
                "The run's budget of " + std::to_string(state.limits().max_tokens()) +
                    " tokens does not pay for another model turn; raise max_tokens.");
  }
  Wanted* wanted = Wants(state, decision).want(EffectKind::kModel, turn.model, turn.number);
  wanted->max_output_tokens = output;
  wanted->reserved_tokens =
      state.limits().max_tokens() > 0 || input < INT64_MAX - output ? input + output : INT64_MAX;
}

// A summary of older turns before the model is asked; without it if the budget does not pay for
// both.
void compact(const State& state, const Turn& turn, Decision& decision) {
  const bool again =
      !state.compactions.empty() && state.compactions.back().outcome == Compaction::Outcome::kNone;
  const Slot slot = again ? state.compactions.back().slot : Slot();
  if (slot.ordinal != 0 && state.in_flight.count(slot.ordinal) != 0) return;
  const CompactionCost cost = compaction_cost(state, turn);
  if (cost.affordable) {
    Wanted* wanted = Wants(state, decision).want(EffectKind::kCompaction, slot, turn.number);
    wanted->max_output_tokens = cost.output_tokens;
    wanted->reserved_tokens = cost.input_tokens + cost.output_tokens;
  } else if (turn.compact == tape::COMPACTION_TRIGGER_BUDGET) {
    model_turn(state, turn, decision);
  } else if (turn.compact == tape::COMPACTION_TRIGGER_OVERFLOW) {
    fail(state, decision, turn.failure.code() > 0 ? turn.failure.code() : kOutOfRange,
         turn.failure.message());
  } else {
    fail(state, decision, kResourceExhausted,
         "The run's budget of " + std::to_string(state.limits().max_tokens()) +
             " tokens does not pay for a summary; raise max_tokens.");
  }
}

// A run whose purpose is the compaction: the context as it is, the summary, what it did.
void compaction_run(const State& state, const Turn& turn, Decision& decision) {
  if (turn.phase == TurnPhase::kContext) {
    Wants(state, decision).want(EffectKind::kContext, turn.context, turn.number);
    return;
  }
  if (turn.phase == TurnPhase::kCompact && turn.gathered.compaction_wanted()) {
    return compact(state, turn, decision);
  }
  if (!state.compactions.empty() &&
      state.compactions.back().outcome == Compaction::Outcome::kFailed) {
    const common::Failure& failure = state.compactions.back().failure;
    return fail(state, decision, failure.code() > 0 ? failure.code() : kUnavailable,
                failure.message());
  }
  tape::RunEvent event;
  tape::RunCompleted& completed = *event.mutable_run_completed();
  const size_t kept = kept_turns(turn.gathered, tape::COMPACTION_TRIGGER_COMMAND);
  completed.set_text(state.compactions.empty()
                         ? "Nothing to compact: the last " +
                               (kept == 1 ? "turn stays" : std::to_string(kept) + " turns stay") +
                               " word for word, and there are no others."
                         : compaction_words(state.compactions.back().finished));
  *completed.mutable_usage() = state.usage;
  decision.append.push_back(std::move(event));
}

void retry(const State& state, const Turn& turn, Decision& decision) {
  Wanted* wanted = Wants(state, decision).want(EffectKind::kTimer, turn.timer, turn.number);
  if (wanted == nullptr) return;
  // Runs that failed together come back apart, and the same tape gives the same delay.
  uint64_t spread = 14'695'981'039'346'656'037U;
  for (const char c : state.run_id()) {
    spread = (spread ^ static_cast<uint8_t>(c)) * 1'099'511'628'211U;
  }
  const int64_t base = kRetryMs << std::min<uint32_t>(turn.failures - 1, 10);
  const int64_t delay = base + static_cast<int64_t>(spread % static_cast<uint64_t>(base / 4));
  wanted->delay_ms = std::min(std::max(delay, turn.retry_after_ms), kLongestRetryMs);
  wanted->reason = "model_retry";
}

void answer(const State& state, const Turn& turn, const SchemaCheck& schema_check,
            Decision& decision) {
  // What was said stays said, and what came meanwhile is answered too.
  if (has_unseen_input(state)) return next_turn(state, decision);
  const std::string objection = judge_answer(turn.text, turn.finish_reason,
                                             state.created.response_schema_json(), schema_check);
  if (objection.empty()) {
    tape::RunEvent event;
    tape::RunCompleted& completed = *event.mutable_run_completed();
    completed.set_text(turn.text);
    *completed.mutable_usage() = state.usage;
    completed.set_turns(static_cast<uint32_t>(state.turns.size()));
    completed.set_tool_calls(state.tool_calls);
    decision.append.push_back(std::move(event));
  } else if (state.rejections > 0) {
    fail(state, decision, kFailedPrecondition,
         "The model's answer was refused twice, lastly because: " + objection);
  } else {
    tape::RunEvent event;
    event.mutable_answer_rejected()->set_turn(turn.number);
    event.mutable_answer_rejected()->set_reason(objection);
    decision.append.push_back(std::move(event));
  }
}

// Calls run in proposal order wherever order could be seen: a call that is not parallel-safe waits
// for all before it, and all behind it wait for it. An unjudged call is taken for one that is not.
void execute(const State& state, const Turn& turn, Wants& wants) {
  uint32_t running = 0;
  bool pending = false;  // a call before is not done
  for (uint32_t i = 0; i < turn.calls.size(); ++i) {
    const Call& call = turn.calls[i];
    if (call.phase == CallPhase::kDone) continue;
    if (call.phase == CallPhase::kProposed) return;
    const bool safe = call.judgement.parallel_safe();
    const bool in_flight = call.tool.ordinal != 0 && state.in_flight.count(call.tool.ordinal) != 0;
    if (in_flight) {
      ++running;
    } else if (call.phase == CallPhase::kReady) {
      if (!safe && pending) return;
      if (running >= state.limits().max_parallel_tools()) return;
      Wanted* wanted = wants.want(EffectKind::kTool, call.tool, turn.number);
      wanted->call_index = i;
      wanted->effect_class = call.judgement.effect_class();
      wanted->verify = call.check_first;
      ++running;
    }
    if (!safe) return;
    pending = true;
  }
}

void tool_calls(const State& state, const Turn& turn, Decision& decision) {
  if (state.tool_calls > state.limits().max_tool_calls()) {
    return fail(state, decision, kResourceExhausted,
                "The run reached its limit of " + std::to_string(state.limits().max_tool_calls()) +
                    " tool calls; raise max_tool_calls or ask for less.");
  }
  Wants wants(state, decision);
  bool done = true;
  for (uint32_t i = 0; i < turn.calls.size(); ++i) {
    const Call& call = turn.calls[i];
    Wanted* wanted = nullptr;
    if (call.phase == CallPhase::kProposed || call.phase == CallPhase::kApproved) {
      wanted = wants.want(EffectKind::kPolicy, call.policy, turn.number);
      if (wanted != nullptr) wanted->round = call.round;
    } else if (call.phase == CallPhase::kAsk) {
      wanted = wants.want(EffectKind::kApproval, call.approval, turn.number);
    }
    if (wanted != nullptr) wanted->call_index = i;
    done = done && call.phase == CallPhase::kDone;
  }
  if (done) return next_turn(state, decision);
  execute(state, turn, wants);
}

// Why the run must end although nobody cancelled it; false if it may go on.
bool stopped(const State& state, Decision& decision) {
  const int64_t limit_ms = state.limits().max_running_ms();
  const bool late = state.time_is_up || state.running_ns >= limit_ms * 1'000'000;
  if (!late && state.repeated_tool.empty()) return false;
  if (!is_drained(state)) {
    decision.stop_in_flight = true;
  } else if (late) {
    fail(state, decision, kDeadlineExceeded,
         "The run used up its running time of " + std::to_string(limit_ms / 1000) +
             " s; raise max_running_ms or ask for less.");
  } else {
    fail(state, decision, kAborted,
         "The tool " + state.repeated_tool + " failed " +
             std::to_string(state.limits().max_repeated_failures()) +
             " times in a row with the same arguments and the same error.");
  }
  return true;
}

}  // namespace

Decision decide(const State& state, const SchemaCheck& schema_check) {
  Decision decision;
  if (state.terminal()) return decision;
  if (state.cancel) {
    if (!is_drained(state)) {
      decision.stop_in_flight = true;
      return decision;
    }
    tape::RunEvent event;
    event.mutable_run_cancelled()->set_principal(state.cancel->principal());
    event.mutable_run_cancelled()->set_reason(state.cancel->reason());
    *event.mutable_run_cancelled()->mutable_usage() = state.usage;
    decision.append.push_back(std::move(event));
    return decision;
  }
  if (!state.corrupt.empty() || !state.exists()) return decision;
  if (state.phase == Phase::kQueued) {
    decision.begin = true;
    return decision;
  }
  if (stopped(state, decision)) return decision;
  const Turn* turn = state.turn();
  if (turn == nullptr) {
    next_turn(state, decision);
    return decision;
  }
  if (turn->failed) {
    fail(state, decision, turn->failure.code() > 0 ? turn->failure.code() : kUnavailable,
         turn->failure.message());
    return decision;
  }
  if (state.compacts()) {
    compaction_run(state, *turn, decision);
    return decision;
  }
  if (is_interrupting(state)) {
    if (interrupt(state, decision)) next_turn(state, decision);
    return decision;
  }
  switch (turn->phase) {
    case TurnPhase::kContext:
      Wants(state, decision).want(EffectKind::kContext, turn->context, turn->number);
      break;
    case TurnPhase::kCompact:
      compact(state, *turn, decision);
      break;
    case TurnPhase::kModel:
      model_turn(state, *turn, decision);
      break;
    case TurnPhase::kWaiting:
      retry(state, *turn, decision);
      break;
    case TurnPhase::kTools:
      tool_calls(state, *turn, decision);
      break;
    case TurnPhase::kAnswer:
      answer(state, *turn, schema_check, decision);
      break;
    case TurnPhase::kClosed:
      next_turn(state, decision);
      break;
  }
  return decision;
}

int64_t output_budget(const State& state, int64_t input_tokens) {
  const int64_t most = std::max<int64_t>(state.limits().max_output_tokens(), 1);
  const int64_t limit = state.limits().max_tokens();
  if (limit <= 0) return most;
  int64_t left = 0;
  if (__builtin_sub_overflow(limit, state.settled_tokens, &left) ||
      __builtin_sub_overflow(left, state.reserved_tokens, &left) ||
      __builtin_sub_overflow(left, std::max<int64_t>(input_tokens, 0), &left)) {
    return 0;
  }
  if (left >= most) return most;
  return left >= std::min(most, kLeastOutput) ? left : 0;
}

}  // namespace palyra::gateway::run
