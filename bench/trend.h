// Whether a series of samples rises, when each sample resembles the one before.
#pragma once

#include <vector>

namespace palyra::bench {

struct Trend {
  double slope = 0;  // of y in one unit of x, by least squares
  // What the slope of a series that does not rise stays below with a probability of 97.5 %.
  double noise = 0;
  // Independent samples that tell as much as these.
  double effective_samples = 0;

  bool rises() const { return slope > noise; }
  // Fewer independent ones are taken for so many, and then say nothing either way.
  static constexpr double kLeast = 4;
  bool tells() const { return effective_samples > kLeast; }
};

// `x` in even steps. Fewer than five samples tell nothing: all zero.
Trend trend_of(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace palyra::bench
