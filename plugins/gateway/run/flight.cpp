#include "plugins/gateway/run/flight.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace palyra::gateway::run {

int64_t add(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<int64_t>::max() : sum;
}

int64_t tokens_of(const common::Usage& usage) {
  return add(std::max<int64_t>(usage.input_tokens(), 0),
             std::max<int64_t>(usage.output_tokens(), 0));
}

Effect* flying(State& state, uint64_t ordinal, EffectKind kind) {
  const auto found = state.in_flight.find(ordinal);
  return found != state.in_flight.end() && found->second.kind == kind ? &found->second : nullptr;
}

Effect land(State& state, uint64_t ordinal) {
  const auto found = state.in_flight.find(ordinal);
  Effect effect = std::move(found->second);
  state.in_flight.erase(found);
  state.reserved_tokens -= effect.reserved_tokens;
  return effect;
}

bool begin(State& state, const tape::EffectStart& start, Slot& slot, Effect effect,
           int64_t wall_time_ns) {
  const bool fresh = slot.ordinal == 0;
  if (start.ordinal() != (fresh ? state.next_ordinal : slot.ordinal)) return false;
  if (start.attempt() != slot.attempt + 1 || start.reserved_tokens() < 0) return false;
  if (state.in_flight.count(start.ordinal()) != 0) return false;
  slot = {start.ordinal(), start.attempt()};
  if (fresh) ++state.next_ordinal;
  effect.ordinal = start.ordinal();
  effect.attempt = start.attempt();
  effect.reserved_tokens = std::min(start.reserved_tokens(),
                                    std::numeric_limits<int64_t>::max() - state.reserved_tokens);
  effect.started_ns = wall_time_ns;
  state.reserved_tokens += effect.reserved_tokens;
  state.in_flight.emplace(effect.ordinal, std::move(effect));
  return true;
}

void settle(State& state, int64_t tokens, int64_t reserved) {
  state.settled_tokens = add(state.settled_tokens, tokens);
  if (tokens > reserved) state.overrun = true;
}

void add_usage(State& state, const common::Usage& usage) {
  common::Usage& sum = state.usage;
  sum.set_input_tokens(add(sum.input_tokens(), std::max<int64_t>(usage.input_tokens(), 0)));
  sum.set_output_tokens(add(sum.output_tokens(), std::max<int64_t>(usage.output_tokens(), 0)));
  sum.set_cached_input_tokens(
      add(sum.cached_input_tokens(), std::max<int64_t>(usage.cached_input_tokens(), 0)));
  sum.set_reasoning_tokens(
      add(sum.reasoning_tokens(), std::max<int64_t>(usage.reasoning_tokens(), 0)));
  sum.set_estimated(sum.estimated() || usage.estimated());
}

}  // namespace palyra::gateway::run
