// What happened outside, compared with what the tapes say. Pure but for reading files.
#pragma once

#include "tests/chaos/tape.h"

#include <map>
#include <string>
#include <vector>

namespace palyra::chaos {

// One line of an effect log of the test tools.
struct Effect {
  std::string key;
  std::string run_id;
  std::string value;
};

// What the outside world counted.
struct World {
  std::vector<Effect> keyed;
  std::vector<Effect> opaque;
  std::map<std::string, int> executions;     // of test.keyed and test.opaque, by key
  std::map<std::string, std::string> files;  // path in the workspace -> content
};

World read_world(const std::string& effects, const std::string& workspace);

struct EffectCounts {
  int intended = 0;  // calls of tools with an effect that were started
  int happened = 0;  // effects, counted outside
  int repeated = 0;  // executions of a keyed call beyond the first
  int verified = 0;  // calls of verifiable tools that were asked whether they happened
  int unknown = 0;   // opaque calls reported as outcome_unknown
  int unknown_happened = 0;
};

// Problems: an opaque call that ran twice, a keyed one with another number of effects than one, a
// finished call without its effect, an effect that no call explains, a file that is not as written.
std::vector<std::string> compare(const std::vector<Evidence>& runs, const World& world,
                                 EffectCounts* counts);

}  // namespace palyra::chaos
