#include "plugins/gateway/run/effect.h"

#include "plugins/common/digest/digest.h"
#include "plugins/gateway/approval/action.h"

#include <utility>

namespace palyra::gateway::run {

std::string idempotency_key(std::string_view run_id, uint64_t ordinal) {
  std::string text(run_id);
  text += ':';
  text += std::to_string(ordinal);
  return digest::to_hex(digest::sha256(text));
}

namespace {

tape::EffectStart start_of(const State& state, const Wanted& wanted, std::string digest) {
  tape::EffectStart start;
  start.set_ordinal(wanted.ordinal);
  start.set_attempt(wanted.attempt);
  start.set_digest(std::move(digest));
  start.set_idempotency_key(idempotency_key(state.run_id(), wanted.ordinal));
  start.set_effect_class(wanted.effect_class);
  start.set_reserved_tokens(wanted.reserved_tokens);
  return start;
}

std::string action_of(const State& state, const common::ToolCall& call) {
  const auto& roots = state.created.agent().workspace_roots();
  return approval::action_digest(call.name(), call.arguments_json(), {roots.begin(), roots.end()},
                                 state.run_id());
}

void call_event(const State& state, const Wanted& wanted, const Stamp& stamp,
                tape::RunEvent& event) {
  const Call& call = state.turns.at(wanted.turn - 1).calls.at(wanted.call_index);
  const std::string action = action_of(state, call.call);
  if (wanted.kind == EffectKind::kPolicy) {
    tape::PolicyStarted& started = *event.mutable_policy_started();
    *started.mutable_start() = start_of(state, wanted, action);
    started.set_turn(wanted.turn);
    started.set_call_index(wanted.call_index);
    *started.mutable_call() = call.call;
    started.set_action_digest(action);
    started.set_round(wanted.round);
  } else if (wanted.kind == EffectKind::kApproval) {
    tape::ApprovalRequested& asked = *event.mutable_approval_requested();
    *asked.mutable_start() = start_of(state, wanted, action);
    asked.set_approval_id(stamp.approval_id);
    asked.set_turn(wanted.turn);
    asked.set_call_index(wanted.call_index);
    asked.set_tool(call.call.name());
    asked.set_arguments_json(call.call.arguments_json());
    asked.set_action_digest(action);
    asked.set_rule(call.asked.rule());
    asked.set_explanation(call.asked.explanation());
    asked.set_expires_at_ms(stamp.wall_ms + state.limits().approval_timeout_ms());
  } else {
    tape::ToolCallStarted& started = *event.mutable_tool_call_started();
    *started.mutable_start() = start_of(state, wanted, action);
    started.set_turn(wanted.turn);
    started.set_call_index(wanted.call_index);
    *started.mutable_call() = call.call;
    started.set_verify(wanted.verify);
  }
}

}  // namespace

tape::RunEvent started_event(const State& state, const Wanted& wanted, const Stamp& stamp) {
  tape::RunEvent event;
  const std::string turn = std::to_string(wanted.turn);
  if (wanted.kind == EffectKind::kContext) {
    tape::ContextStarted& started = *event.mutable_context_started();
    *started.mutable_start() =
        start_of(state, wanted, digest::sha256("context:" + state.run_id() + ":" + turn));
    started.set_turn(wanted.turn);
  } else if (wanted.kind == EffectKind::kModel) {
    tape::ModelTurnStarted& started = *event.mutable_model_turn_started();
    const std::string& model = state.created.agent().model();
    *started.mutable_start() =
        start_of(state, wanted,
                 digest::sha256(state.turns.at(wanted.turn - 1).gathered.request_digest() + ":" +
                                model + ":" + std::to_string(wanted.max_output_tokens)));
    started.set_turn(wanted.turn);
    started.set_model(model);
  } else if (wanted.kind == EffectKind::kCompaction) {
    tape::CompactionStarted& started = *event.mutable_compaction_started();
    const Turn& waiting = state.turns.at(wanted.turn - 1);
    const std::string& model = state.created.agent().model();
    *started.mutable_start() =
        start_of(state, wanted,
                 digest::sha256("compaction:" + waiting.gathered.request_digest() + ":" + model +
                                ":" + std::to_string(wanted.max_output_tokens)));
    started.set_trigger(waiting.compact);
    started.set_model(model);
    started.set_turn(state.compacts() ? 0 : wanted.turn);
  } else if (wanted.kind == EffectKind::kTimer) {
    tape::TimerStarted& started = *event.mutable_timer_started();
    *started.mutable_start() =
        start_of(state, wanted,
                 digest::sha256("timer:" + wanted.reason + ":" + std::to_string(wanted.delay_ms)));
    started.set_due_ms(stamp.wall_ms + wanted.delay_ms);
    started.set_reason(wanted.reason);
  } else {
    call_event(state, wanted, stamp, event);
  }
  return event;
}

}  // namespace palyra::gateway::run
