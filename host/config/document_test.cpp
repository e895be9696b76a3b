// SPDX-License-Identifier: Apache-2.0
#include "host/config/document.h"

#include "host/config/edit_distance.h"

#include <gtest/gtest.h>

namespace palyra::host {
namespace {

TEST(Document, BecomesJsonWithThePlaceOfEveryKey) {
  std::vector<Problem> problems;
  const auto document = parse_document(
      "a = 1\n"
      "[b]\n"
      "  c = [1.5, true, \"x\"]\n"
      "[[b.list]]\n"
      "d = 1979-05-27\n",
      "f.toml", problems);
  ASSERT_TRUE(document);
  EXPECT_EQ(document->root,
            nlohmann::json::parse(
                R"({"a": 1, "b": {"c": [1.5, true, "x"], "list": [{"d": "1979-05-27"}]}})"));
  const auto at = [&](const char* pointer) { return document->problem(pointer, "m").to_string(); };
  EXPECT_EQ(at("/a"), "f.toml:1:1: m");
  EXPECT_EQ(at("/b/c"), "f.toml:3:3: m");
  EXPECT_EQ(at("/b/c/1"), "f.toml:3:13: m");
  EXPECT_EQ(at("/b/list/0/d"), "f.toml:5:1: m");
  EXPECT_EQ(at("/b/c/7/not/there"), "f.toml:3:3: m");
  EXPECT_EQ(at("/nowhere"), "f.toml: m");
}

TEST(Document, ASyntaxErrorIsAProblemWithItsPlace) {
  std::vector<Problem> problems;
  EXPECT_FALSE(parse_document("a = 1\nb = = 2\n", "f.toml", problems));
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].where.line, 2u);
}

TEST(Document, AMissingFileIsAProblem) {
  std::vector<Problem> problems;
  EXPECT_FALSE(read_document("/no/such/palyra.toml", problems));
  EXPECT_EQ(problems.size(), 1u);
}

TEST(Document, PointersReadAsPeopleWriteThem) {
  EXPECT_EQ(dotted("/gateway/policy/rules/2/tool"), "gateway.policy.rules[2].tool");
  EXPECT_EQ(dotted(join_pointer("/services", "palyra.journal/1")), "services.\"palyra.journal/1\"");
}

TEST(EditDistance, CountsInsertionsDeletionsReplacementsAndSwaps) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("gerat", "great"), 1u);
  EXPECT_EQ(edit_distance("same", "same"), 0u);
}

TEST(EditDistance, OnlyWhatIsNearIsSuggested) {
  EXPECT_EQ(nearest("levle", {"format", "level"}), "level");
  EXPECT_EQ(nearest("banana", {"format", "level"}), "");
  EXPECT_EQ(suggestion("banana", {"format", "level"}), "; known here: format, level");
  EXPECT_EQ(suggestion("banana", {}), "");
}

}  // namespace
}  // namespace palyra::host
