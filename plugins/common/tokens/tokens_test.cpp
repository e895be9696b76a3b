#include "plugins/common/tokens/tokens.h"

#include <gtest/gtest.h>

#include <string>

namespace palyra::tokens {
namespace {

TEST(Tokens, NothingCostsNothingAndOneByteCostsOne) {
  EXPECT_EQ(estimate(""), 0);
  EXPECT_EQ(estimate("a"), 1);
}

TEST(Tokens, EnglishIsEstimatedRatherHigh) {
  // 44 bytes, 10 tokens by common vocabularies.
  const int64_t tokens = estimate("The quick brown fox jumps over the lazy dog.");
  EXPECT_GE(tokens, 10);
  EXPECT_LE(tokens, 15);
}

TEST(Tokens, OtherScriptsCostMoreThanOneEach) {
  EXPECT_EQ(estimate("\xE4\xB8\xAD\xE6\x96\x87"), 3);  // two code points
}

TEST(Tokens, GarbageIsCountedNotSkipped) { EXPECT_GE(estimate(std::string(300, '\x80')), 100); }

}  // namespace
}  // namespace palyra::tokens
