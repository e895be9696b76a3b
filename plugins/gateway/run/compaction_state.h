// What the records of a compaction make of a run. Pure; called by evolve().
#pragma once

#include "plugins/gateway/run/state.h"

#include <cstdint>

namespace palyra::gateway::run {

// The turn waits for a compaction. False if it may not: once in a run for each reason, and never
// again after one failed.
bool compact_first(const State& state, Turn& turn, tape::CompactionTrigger trigger);

// False if it does not follow.
bool start_compaction(State& state, const tape::CompactionStarted& event, int64_t wall_time_ns);
void finish_compaction(State& state, const tape::CompactionFinished& event);
// The run goes on without it: what does not fit is dropped. A prompt that the provider refused ends
// the run with that refusal.
void fail_compaction(State& state, const tape::CompactionFailed& event);
void interrupt_compaction(State& state, uint64_t ordinal, uint32_t attempt);

}  // namespace palyra::gateway::run
