// What a model turn will see, gathered for one run.
#pragma once

#include "plugins/gateway/run/context_plan.h"
#include "plugins/gateway/run_loop/environment.h"
#include "plugins/gateway/session/session.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace palyra::gateway {

struct Gathered {
  tape::ContextGathered event;
  run::Prompt request;
};

// System prompt, earlier turns, the input, what the run did so far; cut to the model's window.
// UNAVAILABLE may be tried again; other errors end the run.
Task<Result<Gathered>> gather_context(Environment& environment, std::shared_ptr<Session> session,
                                      const run::State& state, uint64_t ordinal, uint32_t turn);

// The request of a context that is on the tape, from what its segments name: as it was, whatever is
// pinned, expanded or moved since; only the tools are today's. Nothing if some of it is gone.
Task<Result<std::optional<run::Prompt>>> compile_again(Environment& environment,
                                                       const run::State& state,
                                                       tape::ContextGathered gathered);

// The tools of the catalogue that the agent may use, as the model is told of them.
std::vector<service::ToolDefinition> offered_tools(const Catalogue& catalogue,
                                                   const tape::AgentSnapshot& agent);
// Without the instance.
std::string model_name(const tape::AgentSnapshot& agent);

}  // namespace palyra::gateway
