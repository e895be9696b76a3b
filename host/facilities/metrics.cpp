// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/metrics.h"

#include <algorithm>
#include <cmath>

namespace palyra::host {
namespace {

constexpr double kNanos = 1e9;
constexpr double kLargestStep = 9e18;  // what fits into an int64
constexpr uint64_t kGeneration = uint64_t{1} << 32;

const std::vector<double>& bounds_for(std::string_view name) {
  static const std::vector<double> seconds = {
      0.00001, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
      0.05,    0.1,     0.25,   0.5,     1,      2.5,   5,      10,    30,   120};
  static const std::vector<double> bytes = {64,     256,     1024,    4096,     16384,   65536,
                                            262144, 1048576, 4194304, 16777216, 67108864};
  static const std::vector<double> counts = {1,   2,   5,    10,   20,    50,    100,
                                             200, 500, 1000, 5000, 10000, 100000};
  if (name.ends_with("_seconds")) return seconds;
  if (name.ends_with("_bytes")) return bytes;
  return counts;
}

bool is_metric_name(std::string_view name) {
  if (name.empty() || name.size() > 200 || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == ':';
  });
}

const char* kind_name(uint32_t kind) {
  constexpr const char* kNames[] = {"counter", "gauge", "histogram"};
  return kNames[kind];
}

}  // namespace

void Metrics::Sum::add(double value) {
  if (std::abs(value) > kLargestStep) return;
  const double floor = std::floor(value);
  whole.fetch_add(static_cast<int64_t>(floor), std::memory_order_relaxed);
  const double rest = (value - floor) * kNanos;
  if (rest > 0) {
    nanos.fetch_add(static_cast<int64_t>(rest + 0.5), std::memory_order_relaxed);
  }
}

double Metrics::Sum::get() const {
  return static_cast<double>(whole.load(std::memory_order_relaxed)) +
         static_cast<double>(nanos.load(std::memory_order_relaxed)) / kNanos;
}

palyra_handle Metrics::series(uint32_t kind, std::string_view name, std::string_view help,
                              Labels labels) {
  if (kind > PALYRA_METRIC_HISTOGRAM || !is_metric_name(name)) return 0;
  std::sort(labels.begin(), labels.end());
  const std::lock_guard lock(mutex_);
  const auto known = kinds_.find(name);
  if (known != kinds_.end() && known->second != kind) return 0;
  std::pair<std::string, Labels> key(name, labels);
  if (const auto it = handles_.find(key); it != handles_.end()) return it->second;
  if (owned_.size() == kMostSeries) return 0;
  auto made = std::make_unique<Series>();
  made->kind = kind;
  made->name = name;
  made->help = help;
  made->labels = std::move(labels);
  made->bounds = &bounds_for(name);
  kinds_.emplace(name, kind);
  const palyra_handle handle = kGeneration | (owned_.size() + 1);
  by_handle_[owned_.size()].store(made.get(), std::memory_order_release);
  owned_.push_back(std::move(made));
  handles_.emplace(std::move(key), handle);
  count_.store(owned_.size(), std::memory_order_release);
  return handle;
}

void Metrics::record(palyra_handle series, double value) {
  const uint64_t number = series & 0xFFFFFFFFu;
  if ((series & ~uint64_t{0xFFFFFFFFu}) != kGeneration || number == 0 ||
      number > count_.load(std::memory_order_acquire) || !std::isfinite(value)) {
    return;
  }
  Series& target = *by_handle_[number - 1].load(std::memory_order_acquire);
  if (target.kind == PALYRA_METRIC_GAUGE) {
    target.gauge.store(value, std::memory_order_relaxed);
    return;
  }
  if (target.kind == PALYRA_METRIC_COUNTER) {
    if (value > 0) target.sum.add(value);
    return;
  }
  const auto& bounds = *target.bounds;
  const auto at = std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin();
  target.buckets[static_cast<size_t>(at)].fetch_add(1, std::memory_order_relaxed);
  target.sum.add(value);
}

nlohmann::json Metrics::snapshot() const {
  auto out = nlohmann::json::array();
  const std::lock_guard lock(mutex_);
  for (const auto& series : owned_) {
    auto labels = nlohmann::json::object();
    for (const auto& [name, value] : series->labels) labels[name] = value;
    nlohmann::json value;
    if (series->kind == PALYRA_METRIC_COUNTER) {
      value = series->sum.get();
    } else if (series->kind == PALYRA_METRIC_GAUGE) {
      value = series->gauge.load(std::memory_order_relaxed);
    } else {
      auto buckets = nlohmann::json::array();
      uint64_t total = 0;
      for (size_t i = 0; i < series->bounds->size(); ++i) {
        total += series->buckets[i].load(std::memory_order_relaxed);
        buckets.push_back({{"le", (*series->bounds)[i]}, {"count", total}});
      }
      total += series->buckets[series->bounds->size()].load(std::memory_order_relaxed);
      value = {{"count", total}, {"sum", series->sum.get()}, {"buckets", std::move(buckets)}};
    }
    out.push_back({{"name", series->name},
                   {"kind", kind_name(series->kind)},
                   {"help", series->help},
                   {"labels", std::move(labels)},
                   {"value", std::move(value)}});
  }
  return out;
}

}  // namespace palyra::host
