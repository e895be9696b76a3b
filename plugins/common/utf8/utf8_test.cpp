#include "plugins/common/utf8/utf8.h"

#include "plugins/common/utf8/letters.h"

#include <gtest/gtest.h>

namespace palyra::utf8 {
namespace {

TEST(Utf8, ValidTextIsValidAndUnchanged) {
  for (const char* text : {"", "plain", "caf\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8C\xB9",
                           "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(valid(text)) << text;
    EXPECT_EQ(repaired(text), text);
  }
}

TEST(Utf8, EveryOtherByteIsRepaired) {
  const struct {
    const char* text;
    const char* repaired;
  } kCases[] = {
      {"\x80", "\xEF\xBF\xBD"},
      {"a\xFFz", "a\xEF\xBF\xBDz"},
      {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},                                  // overlong
      {"\xE0\x80\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},                  // overlong
      {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},                  // surrogate
      {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},  // too high
      {"x\xE2\x82", "x\xEF\xBF\xBD\xEF\xBF\xBD"},                                // cut
  };
  for (const auto& each : kCases) {
    EXPECT_FALSE(valid(each.text));
    EXPECT_EQ(repaired(each.text), each.repaired);
  }
}

TEST(Utf8, ABeginningMayEndInsideACodePoint) {
  for (const char* cut : {"", "a", "a\xE2\x82", "a\xF0", "\xC3"}) {
    EXPECT_TRUE(valid_beginning(cut)) << cut;
  }
  for (const char* bad : {"\xFF\xFE", "a\x80", "\xE2\x82x", "\xC0", "\xED\xA0\x80"}) {
    EXPECT_FALSE(valid_beginning(bad)) << bad;
  }
}

TEST(Utf8, APrefixNeverCutsACodePoint) {
  const std::string_view text = "a\xE2\x82\xAC\xF0\x9F\x8C\xB9";
  EXPECT_EQ(prefix(text, 0), "");
  EXPECT_EQ(prefix(text, 3), "a");
  EXPECT_EQ(prefix(text, 4), "a\xE2\x82\xAC");
  EXPECT_EQ(prefix(text, 7), "a\xE2\x82\xAC");
  EXPECT_EQ(prefix(text, 8), text);
  EXPECT_EQ(prefix(text, 100), text);
}

TEST(Utf8, DecodesCodePoints) {
  EXPECT_EQ(decode("\xE2\x82\xAC", 0).value, U'\u20AC');
  EXPECT_EQ(decode("\xE2\x82\xAC", 0).size, 3u);
  EXPECT_EQ(decode("\xE2\x82\xAC", 1).size, 0u);
}

TEST(Letters, AreFoldedInTheirPlaces) {
  EXPECT_EQ(folded("ÄRGER Ὀ ΩMEGA ПРИВЕТ Łódź 東京"), "ärger Ὀ ωmega привет łódź 東京");
  EXPECT_EQ(folded("A\xff\xc3"), "a\xff\xc3");
  for (char32_t code = 1; code < 0x20000; ++code) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    std::string one;
    append(one, code);
    ASSERT_EQ(folded(one).size(), one.size()) << "U+" << std::hex << static_cast<uint32_t>(code);
    ASSERT_EQ(folded(folded(one)), folded(one)) << std::hex << static_cast<uint32_t>(code);
  }
}

}  // namespace
}  // namespace palyra::utf8
