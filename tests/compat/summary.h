// What a fold must still come to, whatever version folds it: the JSON beside a tape.
#pragma once

#include "plugins/gateway/replay/check.h"
#include "plugins/gateway/run/evolve.h"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace palyra::compat {

inline std::string summary_of(const std::vector<gateway::replay::Record>& records) {
  namespace run = gateway::run;
  run::State state;
  for (const auto& record : records) {
    run::evolve(state, record.event, record.wall_ns, record.seq);
  }
  nlohmann::ordered_json out;
  out["state"] = gateway::v1::RunState_Name(run::run_state(state));
  out["text"] = state.final_text;
  out["failure"] = state.failure.message();
  out["corrupt"] = state.corrupt;
  out["records"] = state.last_seq;
  out["ordinals"] = state.next_ordinal - 1;
  out["settled_tokens"] = state.settled_tokens;
  out["running_ms"] = state.running_ns / 1'000'000;
  for (const run::Turn& turn : state.turns) {
    nlohmann::ordered_json one;
    one["text"] = turn.text;
    one["failures"] = turn.failures;
    one["interruptions"] = turn.interruptions;
    one["rejected"] = turn.rejected;
    for (const run::Call& call : turn.calls) {
      one["calls"].push_back({{"tool", call.call.name()},
                              {"attempts", call.tool.attempt},
                              {"told", call.content},
                              {"error", call.is_error},
                              {"unknown", call.unknown}});
    }
    out["turns"].push_back(std::move(one));
  }
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace palyra::compat
