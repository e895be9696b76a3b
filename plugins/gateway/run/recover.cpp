#include "plugins/gateway/run/recover.h"

namespace palyra::gateway::run {

std::vector<tape::RunEvent> interrupt_effect(const State& state, const Effect& effect,
                                             const std::string& partial_text,
                                             const std::string& reason) {
  (void)state;
  std::vector<tape::RunEvent> events;
  tape::RunEvent event;
  switch (effect.kind) {
    case EffectKind::kApproval:
    case EffectKind::kTimer:
      return events;
    case EffectKind::kModel: {
      tape::ModelTurnInterrupted& interrupted = *event.mutable_model_turn_interrupted();
      interrupted.set_ordinal(effect.ordinal);
      interrupted.set_turn(effect.turn);
      interrupted.set_attempt(effect.attempt);
      interrupted.set_partial_text(partial_text);
      break;
    }
    case EffectKind::kTool:
      if (effect.effect_class == common::EFFECT_CLASS_OPAQUE ||
          effect.effect_class == common::EFFECT_CLASS_UNSPECIFIED) {
        tape::ToolCallUnknown& unknown = *event.mutable_tool_call_unknown();
        unknown.set_ordinal(effect.ordinal);
        unknown.set_turn(effect.turn);
        unknown.set_call_index(effect.call_index);
        unknown.set_attempt(effect.attempt);
        unknown.set_explanation(reason);
        break;
      }
      [[fallthrough]];
    case EffectKind::kContext:
    case EffectKind::kCompaction:
    case EffectKind::kPolicy: {
      tape::EffectInterrupted& interrupted = *event.mutable_effect_interrupted();
      interrupted.set_ordinal(effect.ordinal);
      interrupted.set_attempt(effect.attempt);
      interrupted.set_reason(reason);
      break;
    }
  }
  events.push_back(std::move(event));
  return events;
}

std::vector<tape::RunEvent> interrupt_events(const State& state, const std::string& partial_text,
                                             const std::string& reason) {
  std::vector<tape::RunEvent> events;
  for (const auto& [ordinal, effect] : state.in_flight) {
    for (tape::RunEvent& event : interrupt_effect(state, effect, partial_text, reason)) {
      events.push_back(std::move(event));
    }
  }
  return events;
}

std::vector<tape::RunEvent> recover_events(const State& state, uint64_t fence,
                                           const std::string& partial_text) {
  std::vector<tape::RunEvent> events;
  if (run_state(state) != api::RUN_STATE_RUNNING) return events;
  tape::RunEvent resumed;
  resumed.mutable_run_resumed()->set_fence(fence);
  events.push_back(std::move(resumed));
  for (tape::RunEvent& event :
       interrupt_events(state, partial_text, "the daemon stopped while it was under way.")) {
    events.push_back(std::move(event));
  }
  return events;
}

}  // namespace palyra::gateway::run
