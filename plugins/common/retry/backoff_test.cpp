#include "plugins/common/retry/backoff.h"

#include <gtest/gtest.h>

#include <cstring>

namespace palyra::retry {
namespace {

// Fills with one byte.
struct Constant : Random {
  explicit Constant(int b) : byte(b) {}
  void fill(void* out, size_t size) override { std::memset(out, byte, size); }
  int byte;
};

TEST(Backoff, DoublesWithJitterOfTheUpperHalf) {
  Constant low(0);
  EXPECT_EQ(backoff_ms({}, 1, 0, low), 75);
  EXPECT_EQ(backoff_ms({}, 2, 0, low), 150);
  for (int byte = 0; byte < 256; ++byte) {
    Constant random(byte);
    const int64_t wait = backoff_ms({}, 2, 0, random);
    EXPECT_GE(wait, 150);
    EXPECT_LE(wait, 300);
  }
}

TEST(Backoff, EndsAfterTheLastRetry) {
  Constant random(0);
  EXPECT_EQ(backoff_ms({}, 3, 0, random), -1);
  EXPECT_EQ(backoff_ms({}, 0, 0, random), -1);
}

TEST(Backoff, WaitsAtLeastAsLongAsTheServerAsks) {
  Constant random(255);
  EXPECT_EQ(backoff_ms({}, 1, 5000, random), 5000);
  EXPECT_GE(backoff_ms({}, 1, 1, random), 75);
  EXPECT_EQ(backoff_ms({}, 1, 10'001, random), -1) << "longer than anyone waits inside a turn";
}

TEST(Backoff, NeverOverflows) {
  Constant random(255);
  const BackoffPolicy policy{1000, INT64_MAX / 2, 60'000};
  EXPECT_LE(backoff_ms(policy, 999, 0, random), 60'000);
  EXPECT_GE(backoff_ms(policy, 999, 0, random), 30'000);
}

}  // namespace
}  // namespace palyra::retry
