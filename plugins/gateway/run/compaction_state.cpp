#include "plugins/gateway/run/compaction_state.h"

#include "plugins/gateway/run/compaction.h"
#include "plugins/gateway/run/flight.h"

#include <string>
#include <utility>

namespace palyra::gateway::run {
namespace {

// The compaction in flight that the result is for, which is landed.
Compaction* land_compaction(State& state, uint64_t ordinal, uint32_t attempt, int64_t& reserved) {
  Effect* effect = flying(state, ordinal, EffectKind::kCompaction);
  if (effect == nullptr || effect->attempt != attempt || state.compactions.empty() ||
      state.turn() == nullptr) {
    return nullptr;
  }
  reserved = land(state, ordinal).reserved_tokens;
  return &state.compactions.back();
}

void give_up(State& state, Compaction& compaction, common::Failure failure) {
  compaction.outcome = Compaction::Outcome::kFailed;
  compaction.failure = std::move(failure);
  Turn& turn = *state.turn();
  const bool stepped =
      state.compactions.size() > 1 &&
      state.compactions[state.compactions.size() - 2].trigger == compaction.trigger;
  if (stepped && !state.compacts()) {
    // What was covered before is.
    turn.context = {};
    turn.phase = TurnPhase::kContext;
  } else if (compaction.trigger == tape::COMPACTION_TRIGGER_OVERFLOW) {
    turn.failed = true;
    turn.phase = TurnPhase::kWaiting;
  } else {
    turn.phase = state.compacts() ? TurnPhase::kClosed : TurnPhase::kModel;
  }
}

}  // namespace

bool compact_first(const State& state, Turn& turn, tape::CompactionTrigger trigger) {
  for (const Compaction& before : state.compactions) {
    if (before.trigger == trigger || before.outcome == Compaction::Outcome::kFailed) return false;
  }
  turn.compact = trigger;
  turn.phase = TurnPhase::kCompact;
  return true;
}

bool start_compaction(State& state, const tape::CompactionStarted& event, int64_t wall_time_ns) {
  Turn* turn = state.turn();
  Effect effect;
  effect.kind = EffectKind::kCompaction;
  effect.effect_class = common::EFFECT_CLASS_NONE;
  Compaction compaction;
  const bool again =
      !state.compactions.empty() && state.compactions.back().outcome == Compaction::Outcome::kNone;
  if (again) compaction = state.compactions.back();
  compaction.trigger = event.trigger();
  if (turn != nullptr) effect.turn = turn->number;
  if (turn == nullptr || turn->phase != TurnPhase::kCompact || event.trigger() != turn->compact ||
      !begin(state, event.start(), compaction.slot, effect, wall_time_ns)) {
    return false;
  }
  if (again) state.compactions.pop_back();
  state.compactions.push_back(std::move(compaction));
  return true;
}

void finish_compaction(State& state, const tape::CompactionFinished& event) {
  int64_t reserved = 0;
  Compaction* compaction = land_compaction(state, event.ordinal(), event.attempt(), reserved);
  if (compaction == nullptr) return;
  settle(state, tokens_of(event.usage()), reserved);
  add_usage(state, event.usage());
  compaction->outcome = Compaction::Outcome::kFinished;
  compaction->finished = event;
  if (event.more() && state.compactions.size() < kMostCompactionsOfARun &&
      compaction_cost(state, *state.turn()).affordable) {
    return;
  }
  // Another gathering, with an ordinal of its own.
  state.turn()->context = {};
  state.turn()->phase = state.compacts() ? TurnPhase::kClosed : TurnPhase::kContext;
}

void fail_compaction(State& state, const tape::CompactionFailed& event) {
  int64_t reserved = 0;
  Compaction* compaction = land_compaction(state, event.ordinal(), event.attempt(), reserved);
  if (compaction == nullptr) return;
  settle(state, event.has_usage() ? tokens_of(event.usage()) : reserved, reserved);
  if (event.has_usage()) add_usage(state, event.usage());
  give_up(state, *compaction, event.failure());
}

void interrupt_compaction(State& state, uint64_t ordinal, uint32_t attempt) {
  int64_t reserved = 0;
  Compaction* compaction = land_compaction(state, ordinal, attempt, reserved);
  if (compaction == nullptr) return;
  settle(state, reserved, reserved);
  if (++compaction->interruptions < kInterruptions) return;
  common::Failure failure;
  failure.set_code(14);
  failure.set_message("The compaction was cut off " + std::to_string(kInterruptions) + " times.");
  give_up(state, *compaction, std::move(failure));
}

}  // namespace palyra::gateway::run
