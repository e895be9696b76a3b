#include "plugins/common/retry/retry_after.h"

#include <gtest/gtest.h>

namespace palyra::retry {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
// Sun, 06 Nov 1994 08:49:07 GMT
constexpr int64_t kNow = 784'111'747 * kSecond;

TEST(RetryAfter, Seconds) {
  EXPECT_EQ(parse_retry_after("120", kNow), 120'000);
  EXPECT_EQ(parse_retry_after(" 0 ", kNow), 0);
  EXPECT_EQ(parse_retry_after("1.5", kNow), 2000);
  EXPECT_EQ(parse_retry_after("99999999999999999999", kNow), 86'400'000);
}

TEST(RetryAfter, AllThreeKindsOfDates) {
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", kNow), 30'000);
  EXPECT_EQ(parse_retry_after("Sunday, 06-Nov-94 08:49:37 GMT", kNow), 30'000);
  EXPECT_EQ(parse_retry_after("Sun Nov  6 08:49:37 1994", kNow), 30'000);
}

TEST(RetryAfter, ADateInThePastMeansNow) {
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", kNow), 0);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 2094 08:00:00 GMT", kNow), 86'400'000);
}

TEST(RetryAfter, NonsenseIsNothing) {
  for (const char* value : {"", "soon", "-5", ".", "Sun, 06 Foo 1994 08:49:37 GMT", "1e9", ",",
                            "Sun, xx Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 99:49:37 GMT"}) {
    EXPECT_FALSE(parse_retry_after(value, kNow).has_value()) << value;
  }
}

}  // namespace
}  // namespace palyra::retry
