// One measured row of performance figures, beside its limit, and how rows are told.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace palyra::bench {

// Sorted samples of one quantity.
class Samples {
 public:
  void add(double value) { values_.push_back(value); }
  size_t count() const { return values_.size(); }
  // 0 <= quantile <= 1; 0 if there are none.
  double at(double quantile) const;

 private:
  mutable std::vector<double> values_;
  mutable bool sorted_ = false;
};

struct Row {
  std::string id;    // "P3"
  std::string name;  // what, in words
  double value = 0;
  std::string unit;
  // The limit or peer measured in the same run; 0 = an absolute budget.
  double limit = 0;
  std::string limit_name;
  // What `ratio` (value / limit) or, without a limit, `value` must reach.
  double budget = 0;
  bool higher_is_better = false;
  Samples samples;  // of the value, in `unit`; may be empty
  std::string note;

  double ratio() const { return limit > 0 ? value / limit : value; }
  bool met() const { return higher_is_better ? ratio() >= budget : ratio() <= budget; }
};

// One benchmark: prints nothing, returns its rows.
struct Benchmark {
  std::string id;
  std::string what;
  std::function<std::vector<Row>()> run;
};

std::vector<Benchmark> journal_benchmarks();  // P1 P2
std::vector<Benchmark> stream_benchmarks();   // P3 P4 P5
std::vector<Benchmark> start_benchmarks();    // P7 P14
std::vector<Benchmark> call_benchmarks();     // P9
std::vector<Benchmark> audit_benchmarks();    // A1
std::vector<Benchmark> growth_benchmarks();   // P10 P12
std::vector<Benchmark> soak_benchmarks();     // P13

// Seconds that one measurement may take; from --seconds.
double measuring_seconds();
// Runs of the soak; from --runs.
uint64_t soak_runs();

}  // namespace palyra::bench
