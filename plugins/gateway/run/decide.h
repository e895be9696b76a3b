// The decision: what should happen now. Pure: the same state gives the same answer, and what is in
// flight is never wanted again.
#pragma once

#include "plugins/gateway/run/effect.h"
#include "plugins/gateway/run/state.h"

#include <functional>
#include <string>
#include <string_view>

namespace palyra::gateway::run {

// Empty if `text` is JSON that matches `schema_json`; otherwise one sentence why not. Must be a
// pure function.
using SchemaCheck = std::function<std::string(std::string_view schema_json, std::string_view text)>;

Decision decide(const State& state, const SchemaCheck& schema_check);

// What the shell adds to a start.
struct Stamp {
  int64_t wall_ms = 0;      // now
  std::string approval_id;  // a new ULID, for kApproval
};

// The record to append before the effect is launched: digest, key, attempt, class, reservation.
tape::RunEvent started_event(const State& state, const Wanted& wanted, const Stamp& stamp);

// Hex SHA-256(run_id, ordinal): the same in every attempt.
std::string idempotency_key(std::string_view run_id, uint64_t ordinal);

// Output tokens that the next model turn may use with `input_tokens` of context: the limit of a
// turn, less if the token budget has less. 0 = the budget does not pay for a useful turn.
int64_t output_budget(const State& state, int64_t input_tokens);

}  // namespace palyra::gateway::run
