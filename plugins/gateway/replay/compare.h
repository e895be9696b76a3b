// Two runs side by side. Pure.
#pragma once

#include "plugins/gateway/replay/check.h"

#include <string>
#include <vector>

namespace palyra::gateway::replay {

// What happened in a run, in the order in which the model saw it: what it said, what it called with
// the answers, how it ended. Attempts that were repeated do not count.
class Steps {
 public:
  struct Step {
    api::RunStep shown;
    // SHA-256 of what two steps are compared by: long texts are read once, not once a pair.
    std::string called;  // the tool and its arguments
    std::string answer;  // the text, and whether it is an error
  };

  // `state` is the fold of the records and outlives this.
  Steps(const std::vector<Record>& records, const run::State& state);

  // Adds a turn, or the end. The work that it was, in bytes.
  size_t add();
  bool whole() const { return whole_; }
  const run::State& state() const { return state_; }
  const std::vector<Step>& list() const { return list_; }

 private:
  const run::State& state_;
  std::vector<palyra::common::v1::Usage> usage_;  // by turn
  size_t turn_ = 0;
  bool whole_ = false;
  std::vector<Step> list_;
};

// Pairs what belongs together (the same tool with the same arguments; what the model said in turn)
// and names the first pair that differs. All of each text is compared; so much of it is shown that
// the answer stays below 4 MiB. Both are whole.
api::RunComparison compare(const Steps& left, const Steps& right);

}  // namespace palyra::gateway::replay
