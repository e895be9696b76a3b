// One simulated history: the real sessions, runs, delivery and memory store on one thread, with
// everything else played by a seed.
#pragma once

#include <cstdint>
#include <string>

namespace palyra::sim {

struct Outcome {
  std::string violation;  // empty = every invariant held
  std::string digest;     // of all tapes: the same seed gives the same
  uint64_t steps = 0;
  uint64_t crashes = 0;
  uint64_t runs = 0;
  uint64_t completed = 0;
  uint64_t effects = 0;
  uint64_t unknown = 0;  // calls whose outcome nobody knows
};

Outcome simulate(uint64_t seed, bool trace);

}  // namespace palyra::sim
