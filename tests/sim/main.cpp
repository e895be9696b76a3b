// palyra-sim: histories of the gateway from seeds. Exit 1 names the first seed whose history breaks
// a promise.
#include "tests/sim/sim.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

int main(int argc, char** argv) {
  uint64_t seeds = 500;
  uint64_t first = 1;
  bool trace = false;
  for (int i = 1; i < argc; ++i) {
    const bool has_value = i + 1 < argc;
    if (std::strcmp(argv[i], "--seeds") == 0 && has_value) {
      seeds = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--seed") == 0 && has_value) {
      first = std::strtoull(argv[++i], nullptr, 10);
      seeds = 1;
    } else if (std::strcmp(argv[i], "--from") == 0 && has_value) {
      first = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--trace") == 0) {
      trace = true;
    } else {
      std::fprintf(stderr, "usage: palyra-sim [--from N] [--seeds COUNT] [--seed N] [--trace]\n");
      return 64;
    }
  }
  palyra::sim::Outcome sum;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    const auto outcome = palyra::sim::simulate(seed, trace);
    std::string violation = outcome.violation;
    if (violation.empty() && (seed % 25 == 0 || seeds == 1) &&
        palyra::sim::simulate(seed, false).digest != outcome.digest) {
      violation = "the same seed gave another history";
    }
    if (!violation.empty()) {
      std::printf("seed %llu: %s\nrepeat with: palyra-sim --seed %llu --trace\n",
                  static_cast<unsigned long long>(seed), violation.c_str(),
                  static_cast<unsigned long long>(seed));
      return 1;
    }
    sum.steps += outcome.steps;
    sum.crashes += outcome.crashes;
    sum.runs += outcome.runs;
    sum.completed += outcome.completed;
    sum.effects += outcome.effects;
    sum.unknown += outcome.unknown;
  }
  std::printf(
      "%llu seeds from %llu: %llu steps, %llu crashes, %llu runs (%llu completed), "
      "%llu effects, %llu unknown outcomes, no promise broken\n",
      static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(first),
      static_cast<unsigned long long>(sum.steps), static_cast<unsigned long long>(sum.crashes),
      static_cast<unsigned long long>(sum.runs), static_cast<unsigned long long>(sum.completed),
      static_cast<unsigned long long>(sum.effects), static_cast<unsigned long long>(sum.unknown));
  return 0;
}
