// Effects in flight and what they cost: the bookkeeping of evolve().
#pragma once

#include "plugins/gateway/run/state.h"

#include <cstdint>

namespace palyra::gateway::run {

// Attempts of one effect that may be cut off; what kills the daemon eight times is not tried again.
constexpr uint32_t kInterruptions = 8;

// INT64_MAX where the sum is more.
int64_t add(int64_t a, int64_t b);
int64_t tokens_of(const common::Usage& usage);

// The effect in flight that a result is for; null for a late or foreign one.
Effect* flying(State& state, uint64_t ordinal, EffectKind kind);
// Takes an effect out of flight; what it had reserved is returned to the budget.
Effect land(State& state, uint64_t ordinal);
// A start is new (the next ordinal, attempt 1) or repeats what is not in flight; false if neither.
bool begin(State& state, const tape::EffectStart& start, Slot& slot, Effect effect,
           int64_t wall_time_ns);

void settle(State& state, int64_t tokens, int64_t reserved);
void add_usage(State& state, const common::Usage& usage);

}  // namespace palyra::gateway::run
