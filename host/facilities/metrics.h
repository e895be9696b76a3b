// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "palyra/metrics.h"

#include <nlohmann/json.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace palyra::host {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Every series of the daemon. Registration takes a lock; recording is wait-free: it adds to atomics
// and never loops. Series live as long as the daemon, at most kMostSeries of them, so handles stay
// valid.
class Metrics {
 public:
  static constexpr size_t kMostSeries = 16384;
  static constexpr size_t kMostBuckets = 20;

  Metrics() = default;
  Metrics(const Metrics&) = delete;

  // The series of this kind (PALYRA_METRIC_*), name and labels; the same arguments give the same
  // handle. 0 if the name is taken by another kind, no metric name, or there are too many. [any]
  palyra_handle series(uint32_t kind, std::string_view name, std::string_view help, Labels labels);
  // An unknown handle and a value that is not finite are ignored. [any], wait-free
  void record(palyra_handle series, double value);
  // [{"name","kind","help","labels":{},"value"}]; a histogram's value is
  // {"count","sum","buckets":[{"le","count"}]}, cumulative. [any]
  nlohmann::json snapshot() const;

 private:
  // A sum of doubles as two integers: adding is two fetch_adds where a double needs a loop.
  struct Sum {
    std::atomic<int64_t> whole{0};
    std::atomic<int64_t> nanos{0};
    void add(double value);
    double get() const;
  };
  struct Series {
    uint32_t kind = 0;
    std::string name;
    std::string help;
    Labels labels;
    const std::vector<double>* bounds = nullptr;
    Sum sum;
    std::atomic<double> gauge{0};
    std::array<std::atomic<uint64_t>, kMostBuckets + 1> buckets{};
  };

  std::atomic<size_t> count_{0};
  std::array<std::atomic<Series*>, kMostSeries> by_handle_{};

  mutable std::mutex mutex_;  // guards all below
  std::vector<std::unique_ptr<Series>> owned_;
  std::map<std::string, uint32_t, std::less<>> kinds_;               // by name
  std::map<std::pair<std::string, Labels>, palyra_handle> handles_;  // by name and labels
};

}  // namespace palyra::host
