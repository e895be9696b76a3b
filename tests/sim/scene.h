// Scene: what all parts of one history share.
#pragma once

#include "palyra/testing/executor.hpp"
#include "tests/sim/coverage.h"
#include "tests/sim/dice.h"

#include <cstdio>
#include <string>
#include <utility>

namespace palyra::sim {

// The first promise that was broken, by its name in invariants.h.
struct Violation {
  std::string invariant;
  std::string what;
};

struct Scene {
  explicit Scene(Dice d) : dice(std::move(d)) {}

  Dice dice;
  testing::ManualClock clock;
  Coverage coverage;
  uint64_t steps = 0;
  bool trace = false;
  Violation violation;

  bool broken() const { return !violation.invariant.empty(); }
  void violate(const char* invariant, std::string what) {
    if (broken()) return;
    say(std::string("VIOLATION ") + invariant + ": " + what);
    violation = {invariant, std::move(what)};
  }
  void say(const std::string& what) const {
    if (trace) std::printf("%6llu %s\n", static_cast<unsigned long long>(steps), what.c_str());
  }
};

}  // namespace palyra::sim
