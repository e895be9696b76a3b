// The shell's half of a policy evaluation.
#pragma once

#include "plugins/gateway/run/effect.h"
#include "plugins/gateway/run_loop/environment.h"

namespace palyra::gateway {

// Judges the proposed call of `wanted`: that the tool exists and its arguments fit, then the rules,
// then an approval that is cached for the session. What cannot be judged is denied.
palyra::tape::v1::PolicyEvaluated evaluate_policy(Environment& environment, const run::State& state,
                                                  const run::Wanted& wanted,
                                                  const std::string& channel, int64_t wall_ms);

}  // namespace palyra::gateway
