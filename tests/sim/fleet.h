// Fleet: many histories, in several processes.
#pragma once

#include "tests/sim/sim.h"

#include <cstdint>
#include <string>

namespace palyra::sim {

struct Campaign {
  uint64_t first = 1;
  uint64_t seeds = 500;
  unsigned jobs = 1;  // processes
};

struct Tally {
  Outcome sum;         // figures of all histories; no choices
  uint64_t seeds = 0;  // that were told
  uint64_t bad_seed = 0;
  Violation violation;  // of bad_seed, the lowest that was found
};

// Tells the histories of first .. first + seeds - 1. Stops soon after the first that breaks a
// promise. Every 50th seed is told twice, and must be the same (kSameSeed).
Tally tell(const Campaign& campaign);

}  // namespace palyra::sim
