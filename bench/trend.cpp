#include "bench/trend.h"

#include <algorithm>
#include <cmath>

namespace palyra::bench {

namespace {

// The 97.5 % quantile of Student's t by the expansion of Cornish and Fisher; 3 % low at two degrees
// of freedom, exact to three digits from six on.
double student_t(double degrees) {
  const double by = 1 / degrees;
  return 1.960 + by * (2.372 + by * (2.823 + by * 2.556));
}

}  // namespace

// The memory of a process remembers: a page that came stays for many samples, and least squares
// takes each of them for another witness. So the samples count as n (1 - r) / (1 + r), where r is
// the correlation of successive residuals (Santer et al., "Statistical significance of trends and
// trend differences in layer-average atmospheric temperature time series", J. Geophys. Res. 105,
// 2000). r comes out too small by about (2 + 4 r) / n where mean and slope were fitted (Kendall,
// "Note on bias in the estimation of autocorrelation", Biometrika 41, 1954, for the mean) and is
// mended for it.
Trend trend_of(const std::vector<double>& x, const std::vector<double>& y) {
  const size_t count = std::min(x.size(), y.size());
  const auto n = static_cast<double>(count);
  if (count < 5) return {};
  // From the first on, so that what stays the same has a slope of exactly zero.
  const double first = y.front();
  double mean_x = 0;
  double mean_y = 0;
  for (size_t i = 0; i < count; ++i) {
    mean_x += x[i] / n;
    mean_y += (y[i] - first) / n;
  }
  double xx = 0;
  double xy = 0;
  for (size_t i = 0; i < count; ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    xy += (x[i] - mean_x) * (y[i] - first - mean_y);
  }
  if (xx <= 0) return {};
  Trend trend;
  trend.slope = xy / xx;
  double squares = 0;
  double products = 0;
  double before = 0;
  for (size_t i = 0; i < count; ++i) {
    const double rest = y[i] - first - mean_y - trend.slope * (x[i] - mean_x);
    squares += rest * rest;
    if (i > 0) products += rest * before;
    before = rest;
  }
  const double measured = squares > 0 ? products / squares : 0;
  const double r = std::max(0.0, (measured * n + 2) / (n - 4));
  // Less than four would tell nothing of how much the samples scatter.
  trend.effective_samples = r < 1 ? std::max(Trend::kLeast, n * (1 - r) / (1 + r)) : Trend::kLeast;
  const double degrees = trend.effective_samples - 2;
  trend.noise = student_t(degrees) * std::sqrt(squares / degrees / xx);
  return trend;
}

}  // namespace palyra::bench
