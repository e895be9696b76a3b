#include "plugins/common/retry/circuit_breaker.h"

#include <gtest/gtest.h>

namespace palyra::retry {
namespace {

constexpr int64_t kMs = 1'000'000;

void fail(CircuitBreaker& breaker, int64_t now) {
  ASSERT_TRUE(breaker.allow(now));
  breaker.failed(now);
}

TEST(CircuitBreaker, ThreeFailuresInARowOpenIt) {
  CircuitBreaker breaker;
  fail(breaker, 0);
  fail(breaker, 0);
  EXPECT_TRUE(breaker.allow(0));
  breaker.succeeded();
  fail(breaker, 0);
  fail(breaker, 0);
  EXPECT_EQ(breaker.state(0), CircuitBreaker::State::kClosed) << "a success between counts";
  fail(breaker, 0);
  EXPECT_EQ(breaker.state(0), CircuitBreaker::State::kOpen);
  EXPECT_FALSE(breaker.allow(29'999 * kMs));
  EXPECT_EQ(breaker.wait_ms(10'000 * kMs), 20'000);
}

TEST(CircuitBreaker, OneProbePassesAfterThirtySeconds) {
  CircuitBreaker breaker;
  for (int i = 0; i < 3; ++i) fail(breaker, 0);
  const int64_t later = 30'000 * kMs;
  EXPECT_TRUE(breaker.allow(later));
  EXPECT_FALSE(breaker.allow(later)) << "only one";
  breaker.succeeded();
  EXPECT_EQ(breaker.state(later), CircuitBreaker::State::kClosed);
  EXPECT_TRUE(breaker.allow(later));
}

TEST(CircuitBreaker, AFailedProbeOpensItAgain) {
  CircuitBreaker breaker;
  for (int i = 0; i < 3; ++i) fail(breaker, 0);
  fail(breaker, 30'000 * kMs);
  EXPECT_FALSE(breaker.allow(59'999 * kMs));
  EXPECT_TRUE(breaker.allow(60'000 * kMs));
}

TEST(CircuitBreaker, AnAbandonedProbeLetsAnotherOnePass) {
  CircuitBreaker breaker;
  for (int i = 0; i < 3; ++i) fail(breaker, 0);
  EXPECT_TRUE(breaker.allow(30'000 * kMs));
  breaker.abandoned();
  EXPECT_TRUE(breaker.allow(30'000 * kMs));
}

TEST(CircuitBreaker, LateFailuresDoNotProlongIt) {
  CircuitBreaker breaker;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(breaker.allow(0));
  for (int i = 0; i < 3; ++i) breaker.failed(0);
  breaker.failed(20'000 * kMs);
  EXPECT_TRUE(breaker.allow(30'000 * kMs));
}

}  // namespace
}  // namespace palyra::retry
