#include "plugins/gateway/run/state.h"

#include "plugins/gateway/run/inputs.h"

#include <algorithm>
#include <limits>

namespace palyra::gateway::run {
namespace {

// The longest times that a limit may say: far from where sums of nanoseconds overflow.
constexpr int64_t kLongestMs = 30LL * 24 * 3600 * 1000;

bool waits_for(const State& state, EffectKind kind) {
  for (const auto& [ordinal, effect] : state.in_flight) {
    if (effect.kind == kind) return true;
  }
  return false;
}

// Only questions and timers are in flight, and at least one of them; no message closes them.
bool only_waits(const State& state) {
  if (state.in_flight.empty() || state.stopping() || is_interrupting(state)) return false;
  for (const auto& [ordinal, effect] : state.in_flight) {
    if (effect.kind != EffectKind::kApproval && effect.kind != EffectKind::kTimer) return false;
  }
  return true;
}

template <typename T>
T or_default(T value, T fallback) {
  return value > 0 ? value : fallback;
}

}  // namespace

api::RunState run_state(const State& state) {
  switch (state.phase) {
    case Phase::kCompleted:
      return api::RUN_STATE_COMPLETED;
    case Phase::kCancelled:
      return api::RUN_STATE_CANCELLED;
    case Phase::kFailed:
      return api::RUN_STATE_FAILED;
    case Phase::kNone:
    case Phase::kQueued:
    case Phase::kActive:
      break;
  }
  if (!state.corrupt.empty()) return api::RUN_STATE_WAITING;
  if (state.phase == Phase::kNone) return api::RUN_STATE_UNSPECIFIED;
  if (state.phase == Phase::kQueued) return api::RUN_STATE_QUEUED;
  return only_waits(state) ? api::RUN_STATE_WAITING : api::RUN_STATE_RUNNING;
}

api::WaitReason wait_reason(const State& state) {
  if (run_state(state) != api::RUN_STATE_WAITING) return api::WAIT_REASON_UNSPECIFIED;
  if (!state.corrupt.empty()) return api::WAIT_REASON_OPERATOR;
  return waits_for(state, EffectKind::kApproval) ? api::WAIT_REASON_APPROVAL
                                                 : api::WAIT_REASON_PROVIDER_CAPACITY;
}

tape::RunLimits with_defaults(tape::RunLimits limits) {
  limits.set_max_turns(or_default<uint32_t>(limits.max_turns(), 32));
  limits.set_max_tool_calls(or_default<uint32_t>(limits.max_tool_calls(), 64));
  limits.set_max_running_ms(
      std::min(or_default<int64_t>(limits.max_running_ms(), 900'000), kLongestMs));
  limits.set_max_repeated_failures(or_default<uint32_t>(limits.max_repeated_failures(), 3));
  limits.set_max_parallel_tools(or_default<uint32_t>(limits.max_parallel_tools(), 4));
  limits.set_max_tokens(std::max<int64_t>(limits.max_tokens(), 0));
  limits.set_max_output_tokens(or_default<int64_t>(limits.max_output_tokens(), 4'096));
  limits.set_approval_timeout_ms(
      std::min(or_default<int64_t>(limits.approval_timeout_ms(), 900'000), kLongestMs));
  return limits;
}

int64_t running_time_ends_ns(const State& state) {
  constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  if (run_state(state) != api::RUN_STATE_RUNNING) return kNever;
  const int64_t left = state.limits().max_running_ms() * 1'000'000 - state.running_ns;
  if (left <= 0) return state.last_ns;
  return state.last_ns > kNever - left ? kNever : state.last_ns + left;
}

const Effect* model_in_flight(const State& state) {
  for (const auto& [ordinal, effect] : state.in_flight) {
    if (effect.kind == EffectKind::kModel) return &effect;
  }
  return nullptr;
}

}  // namespace palyra::gateway::run
