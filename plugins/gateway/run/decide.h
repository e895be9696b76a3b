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

// Output tokens that the next model turn may use with `input_tokens` of context: the limit of a
// turn, less if the token budget has less. 0 = the budget does not pay for a useful turn.
int64_t output_budget(const State& state, int64_t input_tokens);

}  // namespace palyra::gateway::run
