#include "plugins/journal/words.h"

#include <gtest/gtest.h>

namespace palyra::journal {
namespace {

using Words = std::vector<std::string>;

TEST(Words, AreFoldedSortedAndUnique) {
  EXPECT_EQ(words_of("The cat, the CAT; and Émile's 2nd"),
            (Words{"2nd", "and", "cat", "s", "the", "émile"}));
  EXPECT_EQ(words_of("ПРИВЕТ Ωmega"), (Words{"ωmega", "привет"}));
}

TEST(Words, OfChineseAndJapaneseAreCharacters) {
  EXPECT_EQ(words_of("東京。ab"), (Words{"ab", "京", "東"}));
}

TEST(Words, BadBytesSeparate) {
  EXPECT_EQ(words_of("a\xff"
                     "b\xc3"),
            (Words{"a", "b"}));
  EXPECT_EQ(words_of(""), Words{});
  EXPECT_EQ(words_of("\xf0\x9f"), Words{});
}

TEST(Words, AreCutAtACodePoint) {
  const std::string longer = std::string(kMaxWord - 1, 'a') + "éb";
  EXPECT_EQ(words_of(longer), Words{std::string(kMaxWord - 1, 'a')});
}

TEST(Words, OfAQueryMayBePrefixes) {
  const auto words = query_words("Foo* bar *baz 東*");
  ASSERT_EQ(words.size(), 4u);
  EXPECT_EQ(words[0].word, "foo");
  EXPECT_TRUE(words[0].prefix);
  EXPECT_FALSE(words[1].prefix);
  EXPECT_FALSE(words[2].prefix);
}

}  // namespace
}  // namespace palyra::journal
