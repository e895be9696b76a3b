#include "plugins/common/digest/digest.h"

#include <gtest/gtest.h>

namespace palyra::digest {
namespace {

// FIPS 180-4 examples.
constexpr char kEmpty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256, MatchesTheStandard) {
  EXPECT_EQ(to_hex(sha256("")), kEmpty);
  EXPECT_EQ(to_hex(sha256("abc")), kAbc);
}

TEST(Sha256, PartsGiveTheDigestOfTheWholeAndTheObjectIsReusable) {
  Sha256 hash;
  EXPECT_EQ(to_hex(hash.update("a").update("").update("bc").finish()), kAbc);
  EXPECT_EQ(to_hex(hash.finish()), kEmpty);
  Sha256 moved = std::move(hash);
  EXPECT_EQ(to_hex(view(moved.update("abc").finish_value())), kAbc);
}

TEST(Hex, GoesThereAndBack) {
  const std::string bytes("\x00\x7f\x80\xff", 4);
  EXPECT_EQ(to_hex(bytes), "007f80ff");
  EXPECT_EQ(from_hex("007F80ff"), bytes);
  EXPECT_EQ(from_hex(""), "");
}

TEST(Hex, RefusesWhatIsNotHex) {
  EXPECT_FALSE(from_hex("0").has_value());
  EXPECT_FALSE(from_hex("0g").has_value());
  EXPECT_FALSE(from_hex(" 1").has_value());
}

}  // namespace
}  // namespace palyra::digest
