// A soak of a million runs as its estimator sees it: a hundred samples of resident memory, KiB.
#include "bench/trend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace palyra::bench {
namespace {

constexpr int kSamples = 100;
constexpr double kRunsASample = 5'000;
constexpr double kScatterKib = 512;
constexpr int kSeeds = 1'000;

// `kib_a_run` over noise of which each sample keeps the share `memory` of the one before.
Trend soak(int seed, double memory, double kib_a_run) {
  std::mt19937_64 engine(static_cast<uint64_t>(seed));
  std::normal_distribution<double> draw(0, kScatterKib);
  std::vector<double> runs;
  std::vector<double> kib;
  double noise = draw(engine);
  for (int i = 0; i < kSamples; ++i) {
    runs.push_back(i * kRunsASample);
    kib.push_back(40'000 + noise + kib_a_run * runs.back());
    noise = memory * noise + std::sqrt(1 - memory * memory) * draw(engine);
  }
  return trend_of(runs, kib);
}

// Seeds of which the series is said to rise.
int rising(double memory, double kib_a_run) {
  int count = 0;
  for (int seed = 1; seed <= kSeeds; ++seed) count += soak(seed, memory, kib_a_run).rises() ? 1 : 0;
  return count;
}

TEST(Trend, NoiseThatRemembersIsNotTakenForALeak) {
  for (const double memory : {0.0, 0.5, 0.8, 0.9, 0.95}) {
    EXPECT_LE(rising(memory, 0), kSeeds / 20) << "each sample keeps " << memory;
  }
}

TEST(Trend, TwentyBytesARunOverTheSameNoiseAreALeak) {
  for (const double memory : {0.0, 0.5, 0.8, 0.9}) {
    EXPECT_GE(rising(memory, 20.0 / 1024), kSeeds * 95 / 100) << "each sample keeps " << memory;
  }
}

TEST(Trend, ALeakWithoutNoiseIsFoundHoweverSmall) {
  std::vector<double> runs;
  std::vector<double> files;
  for (int i = 0; i < kSamples; ++i) {
    runs.push_back(i * kRunsASample);
    files.push_back(40 + i / 10);
  }
  EXPECT_TRUE(trend_of(runs, files).rises());
}

TEST(Trend, WhatStaysTheSameDoesNotRise) {
  const Trend flat = trend_of({1, 2, 3, 4, 5, 6}, {7, 7, 7, 7, 7, 7});
  EXPECT_EQ(flat.slope, 0);
  EXPECT_FALSE(flat.rises());
  const Trend many = trend_of(std::vector<double>{1, 2, 3, 4, 5, 6, 7}, std::vector<double>(7, 41));
  EXPECT_EQ(many.slope, 0);
  EXPECT_EQ(many.noise, 0);
}

TEST(Trend, SamplesThatRememberCountForFewer) {
  EXPECT_NEAR(soak(1, 0, 0).effective_samples, kSamples, kSamples * 0.4);
  EXPECT_LT(soak(1, 0.9, 0).effective_samples, kSamples / 4);
}

TEST(Trend, ASeriesThatOnlyRemembersSaysThatItTellsNothing) {
  EXPECT_TRUE(soak(1, 0.5, 0).tells());
  EXPECT_FALSE(soak(1, 0.9999, 0).tells());
}

TEST(Trend, TooFewSamplesSayNothing) {
  EXPECT_FALSE(trend_of({1, 2, 3, 4}, {1, 2, 3, 4}).rises());
  EXPECT_FALSE(trend_of({1, 1, 1, 1, 1, 1}, {1, 2, 3, 4, 5, 6}).rises());
}

}  // namespace
}  // namespace palyra::bench
