// SPDX-License-Identifier: Apache-2.0
// Handles of metrics: two words, copyable, wait-free. One that was never registered does nothing.
// [any]
#pragma once

#include "palyra/metrics.h"

namespace palyra {
namespace detail {
struct Series {
  const palyra_metrics* table = nullptr;
  palyra_handle handle = 0;
  void record(double value) const {
    if (handle != 0) table->record(table->ctx, handle, value);
  }
};
}  // namespace detail

class Counter {
 public:
  Counter() = default;
  explicit Counter(detail::Series series) : series_(series) {}
  void add(double amount = 1) const { series_.record(amount); }

 private:
  detail::Series series_;
};

class Gauge {
 public:
  Gauge() = default;
  explicit Gauge(detail::Series series) : series_(series) {}
  void set(double value) const { series_.record(value); }

 private:
  detail::Series series_;
};

class Histogram {
 public:
  Histogram() = default;
  explicit Histogram(detail::Series series) : series_(series) {}
  void observe(double value) const { series_.record(value); }

 private:
  detail::Series series_;
};

}  // namespace palyra
