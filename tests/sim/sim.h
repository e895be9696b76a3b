// One history of the gateway, from a seed or from choices.
#pragma once

#include "tests/sim/scene.h"

#include <cstdint>
#include <string>
#include <vector>

namespace palyra::sim {

struct Outcome {
  Violation violation;
  uint64_t steps = 0;
  uint64_t faults = 0;
  uint64_t takeovers = 0;
  uint64_t sessions = 0;
  uint64_t runs = 0;
  uint64_t completed = 0;
  uint64_t calls = 0;    // that were started
  uint64_t effects = 0;  // outside
  uint64_t unknown = 0;
  Coverage coverage;
  std::string digest;  // of all that was written
  std::vector<uint32_t> choices;
};

// `enough`: adds what the history lacks (see kEnough) before it ends. Off while one is made
// smaller.
Outcome simulate(Dice dice, bool trace, bool enough = true);

}  // namespace palyra::sim
