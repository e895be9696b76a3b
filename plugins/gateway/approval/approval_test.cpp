#include "plugins/gateway/approval/action.h"
#include "plugins/gateway/approval/cache.h"

#include <gtest/gtest.h>

namespace palyra::gateway::approval {
namespace {

std::string digest(const std::string& arguments, const std::vector<std::string>& roots = {"/w"},
                   const std::string& run = "R", const std::string& tool = "t") {
  return action_digest(tool, arguments, roots, run);
}

TEST(Action, IsTheSameHoweverTheArgumentsAreWritten) {
  EXPECT_EQ(digest(R"({"a":1,"b":[true]})"), digest("{ \"b\" : [true],\n \"a\":1 }"));
  EXPECT_EQ(digest("{}").size(), 32U);
}

TEST(Action, IsAnotherWithAnotherToolArgumentDirectoryOrRun) {
  const std::string one = digest("{}");
  EXPECT_NE(one, digest(R"({"a":1})"));
  EXPECT_NE(one, digest("{}", {"/w", "/v"}));
  EXPECT_NE(one, digest("{}", {"/w"}, "S"));
  EXPECT_NE(one, digest("{}", {"/w"}, "R", "u"));
  EXPECT_NE(digest("{}", {"/w"}, "R"), digest("{}", {}, "R/w")) << "parts do not flow together";
}

TEST(Action, ThatTwoReadersCouldReadDifferentlyKeepsItsBytes) {
  const std::string twice = R"({"a":1,"a":2})";
  EXPECT_EQ(canonical_json(twice), twice);
  EXPECT_NE(digest(twice), digest(R"({"a":2})"));
  EXPECT_EQ(canonical_json("{broken"), "{broken");
}

CachedApproval approval(const std::string& rule, int64_t until_ms = 0) {
  return {"01A", "01S", "user:ada", "fs.write", "my rule", rule, until_ms};
}

TEST(ApprovalCache, MatchesTheSameRuleNotTheSameName) {
  ApprovalCache cache;
  cache.add(approval("digest one"));
  EXPECT_NE(cache.find("01S", "user:ada", "digest one", 5), nullptr);
  EXPECT_EQ(cache.find("01S", "user:ada", "digest two", 5), nullptr);
  EXPECT_EQ(cache.find("01S", "user:ada", "", 5), nullptr);
}

TEST(ApprovalCache, ServesNoOtherSessionAndNoOtherPerson) {
  ApprovalCache cache;
  cache.add(approval("d"));
  EXPECT_EQ(cache.find("01T", "user:ada", "d", 5), nullptr);
  EXPECT_EQ(cache.find("01S", "user:eve", "d", 5), nullptr);
}

TEST(ApprovalCache, ATimeboxEnds) {
  ApprovalCache cache;
  cache.add(approval("d", 100));
  EXPECT_NE(cache.find("01S", "user:ada", "d", 99), nullptr);
  EXPECT_EQ(cache.find("01S", "user:ada", "d", 100), nullptr);
  EXPECT_EQ(cache.drop_expired(100), 1U);
  EXPECT_EQ(cache.size(), 0U);
}

TEST(ApprovalCache, ARuleThatChangedTakesItsApprovalsWithIt) {
  ApprovalCache cache;
  cache.add(approval("old"));
  cache.add(approval("kept"));
  EXPECT_EQ(cache.keep_if([](const auto& a) { return a.rule_digest == "kept"; }), 1U);
  EXPECT_EQ(cache.find("01S", "user:ada", "old", 5), nullptr) << "also when the rule comes back";
}

TEST(ApprovalCache, EndsWithTheSession) {
  ApprovalCache cache;
  cache.add(approval("d"));
  cache.drop_session("01S");
  EXPECT_EQ(cache.size(), 0U);
}

TEST(ApprovalCache, WithoutARuleThereIsNothingToKeep) {
  ApprovalCache cache;
  cache.add(approval(""));
  EXPECT_EQ(cache.size(), 0U);
}

}  // namespace
}  // namespace palyra::gateway::approval
