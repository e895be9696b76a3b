// Two runs side by side. Pure.
#pragma once

#include "plugins/gateway/replay/check.h"

#include <vector>

namespace palyra::gateway::replay {

// What happened in a run, in the order in which the model saw it: what it said, what it called with
// the answers, how it ended. Attempts that were repeated do not count.
std::vector<api::RunStep> steps_of(const std::vector<Record>& records);

// Pairs what belongs together (the same tool with the same arguments; what the model said in turn)
// and names the first pair that differs.
api::RunComparison compare(const std::vector<Record>& left, const std::vector<Record>& right);

}  // namespace palyra::gateway::replay
