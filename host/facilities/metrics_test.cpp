// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/metrics.h"

#include "palyra/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

namespace palyra::host {
namespace {

TEST(Metrics, TheSameArgumentsGiveTheSameSeries) {
  Metrics metrics;
  const auto one =
      metrics.series(PALYRA_METRIC_COUNTER, "palyra_x_total", "X", {{"a", "1"}, {"b", "2"}});
  EXPECT_NE(one, 0u);
  EXPECT_EQ(metrics.series(PALYRA_METRIC_COUNTER, "palyra_x_total", "X", {{"b", "2"}, {"a", "1"}}),
            one);
  EXPECT_NE(metrics.series(PALYRA_METRIC_COUNTER, "palyra_x_total", "X", {{"a", "2"}}), one);
}

TEST(Metrics, ANameHasOneKind) {
  Metrics metrics;
  EXPECT_NE(metrics.series(PALYRA_METRIC_COUNTER, "palyra_x", "", {}), 0u);
  EXPECT_EQ(metrics.series(PALYRA_METRIC_GAUGE, "palyra_x", "", {{"other", "label"}}), 0u);
  EXPECT_EQ(metrics.series(7, "palyra_y", "", {}), 0u);
  EXPECT_EQ(metrics.series(PALYRA_METRIC_GAUGE, "no name", "", {}), 0u);
}

TEST(Metrics, CountersAddFractionsAndIgnoreWhatIsNegativeOrNoNumber) {
  Metrics metrics;
  const auto counter = metrics.series(PALYRA_METRIC_COUNTER, "palyra_x_seconds_total", "", {});
  metrics.record(counter, 2);
  metrics.record(counter, 0.25);
  metrics.record(counter, -5);
  metrics.record(counter, NAN);
  metrics.record(counter, INFINITY);
  metrics.record(counter + 1, 100);
  metrics.record(0, 100);
  EXPECT_DOUBLE_EQ(metrics.snapshot()[0]["value"].get<double>(), 2.25);
}

TEST(Metrics, HistogramsCountCumulatively) {
  Metrics metrics;
  const auto histogram = metrics.series(PALYRA_METRIC_HISTOGRAM, "palyra_x_seconds", "help", {});
  for (const double value : {0.000001, 0.3, 1000.0}) metrics.record(histogram, value);
  const auto value = metrics.snapshot()[0]["value"];
  EXPECT_EQ(value["count"], 3);
  EXPECT_NEAR(value["sum"].get<double>(), 1000.300001, 1e-6);
  EXPECT_EQ(value["buckets"].front()["count"], 1);
  EXPECT_EQ(value["buckets"].back()["count"], 2);
}

TEST(Metrics, RecordingFromManyThreadsLosesNothing) {
  Metrics metrics;
  constexpr int kThreads = 4;
  constexpr int kRecords = 20'000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&metrics] {
      const auto counter = metrics.series(PALYRA_METRIC_COUNTER, "palyra_x_total", "", {});
      for (int i = 0; i < kRecords; ++i) metrics.record(counter, 0.5);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_DOUBLE_EQ(metrics.snapshot()[0]["value"].get<double>(), kThreads * kRecords / 2);
}

}  // namespace
}  // namespace palyra::host
