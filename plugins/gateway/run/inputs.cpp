#include "plugins/gateway/run/inputs.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway::run {
namespace {

// Whether the context of some turn behind it was gathered.
bool is_seen(const State& state, const Input& input) {
  if (state.turns.size() <= input.after_turn) return false;
  return state.turns.size() > input.after_turn + 1 ||
         state.turns.back().phase != TurnPhase::kContext;
}

void tell(Call& call, std::string content) {
  call.phase = CallPhase::kDone;
  call.content = std::move(content);
  call.is_error = true;
  call.provenance = common::PROVENANCE_OPERATOR;
}

}  // namespace

void add_input(State& state, const tape::InputAdded& added, uint64_t seq) {
  Input input;
  input.added = added;
  input.seq = seq;
  input.after_turn = static_cast<uint32_t>(state.turns.size());
  const Turn* turn = state.turn();
  if (turn != nullptr && turn->phase == TurnPhase::kContext &&
      state.in_flight.count(turn->context.ordinal) == 0) {
    --input.after_turn;
  }
  if (!state.inputs.empty()) {
    input.after_turn = std::max(input.after_turn, state.inputs.back().after_turn);
  }
  if (added.start_after_ms() != 0) state.start_after_ms = added.start_after_ms();
  state.inputs.push_back(std::move(input));
}

bool has_unseen_input(const State& state) {
  return !state.inputs.empty() && !is_seen(state, state.inputs.back());
}

bool is_interrupting(const State& state) {
  if (state.turns.empty()) return false;
  for (auto input = state.inputs.rbegin(); input != state.inputs.rend(); ++input) {
    if (is_seen(state, *input)) return false;
    if (input->added.mode() == tape::QUEUE_MODE_INTERRUPT &&
        input->after_turn >= state.turns.size()) {
      return true;
    }
  }
  return false;
}

void overtake(Call& call) {
  tell(call,
       "This call was not made: a newer message came first. Make it again only if it is still "
       "wanted.");
}

void stop_harmless(Call& call) {
  tell(call, "This call was stopped by a newer message before it had a result.");
}

bool is_drained(const State& state) {
  return std::all_of(state.in_flight.begin(), state.in_flight.end(), [](const auto& entry) {
    return entry.second.kind == EffectKind::kApproval || entry.second.kind == EffectKind::kTimer;
  });
}

bool interrupt(const State& state, Decision& decision) {
  if (!is_drained(state)) {
    decision.stop_in_flight = true;
    return false;
  }
  for (const auto& [ordinal, effect] : state.in_flight) {
    tape::RunEvent event;
    if (effect.kind == EffectKind::kTimer) {
      event.mutable_timer_fired()->set_ordinal(ordinal);
    } else {
      tape::ApprovalDecided& decided = *event.mutable_approval_decided();
      decided.set_ordinal(ordinal);
      decided.set_approval_id(effect.approval_id);
      decided.set_verdict(tape::APPROVAL_VERDICT_DENY);
      decided.set_reason("a newer message came first");
      decided.set_turn(effect.turn);
      decided.set_call_index(effect.call_index);
    }
    decision.append.push_back(std::move(event));
  }
  return state.in_flight.empty();
}

}  // namespace palyra::gateway::run
