// The fold: one record of the tape into the state. Pure; total: any bytes that parse leave a state
// that decide() can answer for.
#pragma once

#include "plugins/gateway/run/state.h"

namespace palyra::gateway::run {

// Folds the record `seq` with the wall time at which it was committed. A record of an unknown type,
// or a start that decide() cannot have wanted, makes the state corrupt: WAITING(operator). A result
// of something that is not in flight, and anything after the terminal record, changes nothing.
void evolve(State& state, const tape::RunEvent& event, int64_t wall_time_ns, uint64_t seq);

}  // namespace palyra::gateway::run
