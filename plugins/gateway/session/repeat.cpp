// A run that repeats another one comes in like every message, into a session of its own.
#include "plugins/gateway/replay/recording.h"
#include "plugins/gateway/session/gateway_impl.h"

#include <utility>

namespace palyra::gateway {

Task<Result<AcceptedInput>> GatewayImpl::repeat(Caller caller, Repetition repetition) {
  const tape::RunCreated& created = repetition.created;
  Input input;
  input.origin = "replay";
  input.caller = std::move(caller);
  input.agent_id = created.agent().agent_id();
  input.text = created.input_text();
  input.idempotency_key = repetition.idempotency_key;
  input.limits = created.limits();
  input.response_schema_json = created.response_schema_json();
  input.ask_mode = created.ask_mode();
  input.model = created.agent().model();
  if (replay::answers_recorded(created) && !agents_.find(input.agent_id).ok()) {
    // The agent of another machine, or of an older configuration: it is only asked for its name.
    input.agent_id.clear();
  }
  input.repetition = std::make_shared<const Repetition>(std::move(repetition));
  co_return co_await accept(std::move(input));
}

void GatewayImpl::apply(const Repetition& repetition, tape::RunCreated& created) {
  const tape::RunCreated& original = repetition.created;
  *created.mutable_replay_of() = original.replay_of();
  created.set_input_provenance(original.input_provenance());
  if (replay::answers_recorded(original)) {
    // Nothing is executed: the snapshot gives no rights.
    *created.mutable_agent() = original.agent();
    created.mutable_agent()->clear_workspace_roots();
  } else {
    // What the agent may touch is what the operator lets it touch now.
    created.mutable_agent()->set_model(original.agent().model());
    created.mutable_agent()->set_system_prompt_digest(original.agent().system_prompt_digest());
  }
}

}  // namespace palyra::gateway
