// What decide() may ask for.
#pragma once

#include "plugins/gateway/run/state.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::gateway::run {

// An effect that should be in flight and is not. Identified by (run_id, ordinal); a repeated effect
// keeps its ordinal and has the next attempt.
struct Wanted {
  EffectKind kind = EffectKind::kContext;
  uint64_t ordinal = 0;
  uint32_t attempt = 1;
  common::EffectClass effect_class = common::EFFECT_CLASS_NONE;
  uint32_t turn = 0;
  uint32_t call_index = 0;  // for kPolicy, kApproval, kTool
  uint32_t round = 1;       // for kPolicy: 1 = on proposal, 2 and up = again after an approval
  bool verify = false;      // for kTool: ask the tool, do not call it
  // For kModel and kCompaction.
  int64_t max_output_tokens = 0;
  int64_t reserved_tokens = 0;
  // For kTimer.
  int64_t delay_ms = 0;
  std::string reason;
};

struct Decision {
  // Append `started_event` of each in one commit, then launch each.
  std::vector<Wanted> start;
  // The run is QUEUED and may begin: the shell appends run_started with parent and fence.
  bool begin = false;
  // Pure decisions: append as they are, in the same commit. Terminal events come alone.
  std::vector<tape::RunEvent> append;
  // The run, or the turn under way, is being stopped: cancel what is in flight, and after the grace
  // period append interrupt_events(). Approvals and timers are dropped with the run, and closed by
  // records with a turn.
  bool stop_in_flight = false;

  bool idle() const { return start.empty() && !begin && append.empty(); }
};

// What the shell adds to a start.
struct Stamp {
  int64_t wall_ms = 0;      // now
  std::string approval_id;  // a new ULID, for kApproval
};

// The record to append before the effect is launched: digest, key, attempt, class, reservation.
tape::RunEvent started_event(const State& state, const Wanted& wanted, const Stamp& stamp);

// Hex SHA-256(run_id, ordinal): the same in every attempt.
std::string idempotency_key(std::string_view run_id, uint64_t ordinal);

}  // namespace palyra::gateway::run
