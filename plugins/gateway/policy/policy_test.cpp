#include "plugins/gateway/policy/policy.h"

#include "plugins/gateway/policy/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace palyra::gateway::policy {
namespace {

using palyra::tape::v1::VERDICT_ALLOW;
using palyra::tape::v1::VERDICT_ASK;
using palyra::tape::v1::VERDICT_DENY;
using ::testing::HasSubstr;
namespace service = palyra::service::v1;

PolicyRequest write(const std::string& arguments = "{}") {
  PolicyRequest request;
  request.principal = "user:ada";
  request.agent = "main";
  request.channel = "cli";
  request.session = "01S";
  request.tool = "fs.write";
  request.access = service::TOOL_ACCESS_WRITE;
  request.arguments_json = arguments;
  return request;
}

Rule rule(const std::string& name, palyra::tape::v1::Verdict verdict,
          std::vector<std::string> tools = {}) {
  Rule made;
  made.name = name;
  made.verdict = verdict;
  made.tools = std::move(tools);
  return made;
}

TEST(Policy, WithoutRulesReadsAreAllowedAndEffectsAsk) {
  PolicyRequest request = write();
  EXPECT_EQ(judge({}, request).verdict, VERDICT_ASK);
  EXPECT_EQ(judge({}, request).rule, "default");
  request.access = service::TOOL_ACCESS_READ;
  EXPECT_EQ(judge({}, request).verdict, VERDICT_ALLOW);
  request.access = service::TOOL_ACCESS_UNSPECIFIED;
  EXPECT_EQ(judge({}, request).verdict, VERDICT_ASK) << "undeclared is not a read";
}

TEST(Policy, TheFirstMatchDecides) {
  PolicyRules rules;
  rules.rules = {rule("one", VERDICT_ALLOW, {"http.*"}), rule("two", VERDICT_ALLOW, {"fs.*"}),
                 rule("three", VERDICT_ASK, {"fs.write"})};
  EXPECT_EQ(judge(rules, write()).rule, "two");
  EXPECT_THAT(judge(rules, write()).explanation, HasSubstr("\"two\" allows fs.write"));
}

TEST(Policy, ADenyAnywhereWins) {
  PolicyRules rules;
  rules.rules = {rule("allow all", VERDICT_ALLOW), rule("no writing", VERDICT_DENY, {"fs.write"})};
  EXPECT_EQ(judge(rules, write()).verdict, VERDICT_DENY);
  EXPECT_EQ(judge(rules, write()).rule, "no writing");
}

TEST(Policy, ARuleWithoutAVerdictDenies) {
  PolicyRules rules;
  rules.rules = {rule("broken", palyra::tape::v1::VERDICT_UNSPECIFIED)};
  EXPECT_EQ(judge(rules, write()).verdict, VERDICT_DENY);
  EXPECT_FALSE(check(rules).ok());
}

TEST(Policy, FiltersByWhoWhereAndWhat) {
  Rule only = rule("only", VERDICT_ALLOW, {"fs.*"});
  only.agents = {"main"};
  only.principals = {"user:*"};
  only.channels = {"cli"};
  only.sessions = {"01S"};
  only.access = service::TOOL_ACCESS_WRITE;
  const PolicyRules rules{{only}, VERDICT_DENY, VERDICT_DENY};
  EXPECT_EQ(judge(rules, write()).verdict, VERDICT_ALLOW);
  const auto denied = [&](auto change) {
    PolicyRequest request = write();
    change(request);
    return judge(rules, request).verdict == VERDICT_DENY;
  };
  EXPECT_TRUE(denied([](auto& r) { r.agent = "main2"; }));
  EXPECT_TRUE(denied([](auto& r) { r.principal = "channel:x"; }));
  EXPECT_TRUE(denied([](auto& r) { r.channel = "grpc"; }));
  EXPECT_TRUE(denied([](auto& r) { r.session = "01T"; }));
  EXPECT_TRUE(denied([](auto& r) { r.tool = "http.get"; }));
  EXPECT_TRUE(denied([](auto& r) { r.access = service::TOOL_ACCESS_READ; }));
}

TEST(Policy, MatchesArguments) {
  Rule docs = rule("docs", VERDICT_ALLOW);
  docs.arguments = {{"/path", "docs/*.md"}, {"/mode/append", "true"}};
  const PolicyRules rules{{docs}, VERDICT_ASK, VERDICT_ASK};
  const auto verdict = [&](const std::string& json) { return judge(rules, write(json)).verdict; };
  EXPECT_EQ(verdict(R"({"path":"docs/a.md","mode":{"append":true}})"), VERDICT_ALLOW);
  EXPECT_EQ(verdict(R"({"path":"docs/a.txt","mode":{"append":true}})"), VERDICT_ASK);
  EXPECT_EQ(verdict(R"({"path":"docs/a.md"})"), VERDICT_ASK);
}

TEST(Policy, ArgumentsThatTwoReadersCouldReadDifferentlyAreNotExcused) {
  Rule docs = rule("docs", VERDICT_ALLOW);
  docs.arguments = {{"/path", "docs/*"}};
  Rule etc = rule("etc", VERDICT_DENY);
  etc.arguments = {{"/path", "/etc/*"}};
  const std::string twice = R"({"path":"/etc/x","path":"docs/a"})";
  EXPECT_EQ(judge({{docs}, VERDICT_ASK, VERDICT_ASK}, write(twice)).verdict, VERDICT_ASK);
  EXPECT_EQ(judge({{docs, etc}, VERDICT_ASK, VERDICT_ASK}, write(twice)).verdict, VERDICT_DENY);
  EXPECT_EQ(judge({{etc}, VERDICT_ASK, VERDICT_ASK}, write("{broken")).verdict, VERDICT_DENY);
  EXPECT_EQ(judge({{etc}, VERDICT_ASK, VERDICT_ASK}, write(R"({"path":"a"})")).verdict,
            VERDICT_ASK);
}

TEST(Policy, AToolOutsideTheAgentsListIsDeniedWhateverTheRulesSay) {
  PolicyRequest request = write();
  request.agent_tools = {"fs.read", "http.*"};
  EXPECT_EQ(judge({{rule("all", VERDICT_ALLOW)}, VERDICT_ALLOW, VERDICT_ALLOW}, request).verdict,
            VERDICT_DENY);
}

TEST(Policy, TheDigestOfARuleIsWhatItSaysNotItsName) {
  Rule one = rule("one", VERDICT_ASK, {"fs.*"});
  Rule two = rule("two", VERDICT_ASK, {"fs.*"});
  EXPECT_EQ(rule_digest(one), rule_digest(two));
  two.tools = {"fs", ".*"};
  EXPECT_NE(rule_digest(one), rule_digest(two));
  two.tools.clear();
  two.agents = {"fs.*"};
  EXPECT_NE(rule_digest(one), rule_digest(two)) << "another field is another rule";
  EXPECT_NE(rules_digest({{one}, VERDICT_ALLOW, VERDICT_ASK}),
            rules_digest({{one}, VERDICT_ALLOW, VERDICT_DENY}));
}

TEST(Policy, TellsWhatIsInForce) {
  const Rule one = rule("one", VERDICT_ASK, {"fs.*"});
  const PolicyRules rules{{one}, VERDICT_ALLOW, VERDICT_ASK};
  EXPECT_TRUE(in_force(rules, judge(rules, write()).rule_digest, "fs.write"));
  EXPECT_FALSE(in_force({}, rule_digest(one), "fs.write"));
  EXPECT_TRUE(in_force({}, judge({}, write()).rule_digest, "fs.write"));
  EXPECT_FALSE(in_force({}, judge({}, write()).rule_digest, "fs.delete"))
      << "the default of one tool is not that of another";
}

TEST(Policy, CheckNamesTheRuleAndTheMistake) {
  Rule bad = rule("bad", VERDICT_ASK);
  bad.arguments = {{"path", "*"}};
  const Status status = check({{bad}, VERDICT_ALLOW, VERDICT_ASK});
  EXPECT_THAT(status.message(), HasSubstr("\"bad\""));
  EXPECT_THAT(status.message(), HasSubstr("JSON pointer"));
}

TEST(Patterns, MatchAsWritten) {
  EXPECT_TRUE(matches_pattern("*", ""));
  EXPECT_TRUE(matches_pattern("fs.*", "fs.read"));
  EXPECT_FALSE(matches_pattern("fs.*", "fsx"));
  EXPECT_FALSE(matches_pattern("fs.read", "fs.reader"));
  EXPECT_TRUE(matches_glob("a*b?c", "axxbyc"));
  EXPECT_TRUE(matches_glob("*", ""));
  EXPECT_FALSE(matches_glob("", "a"));
  EXPECT_FALSE(matches_glob("a*b", "a"));
  EXPECT_TRUE(matches_glob("*.md", "a.md.md"));
  EXPECT_FALSE(matches_glob(std::string(50, '*') + "x", std::string(5'000, 'a')));
}

TEST(Arguments, TooDeepIsRefusedWithoutARecursion) {
  EXPECT_FALSE(read_arguments(std::string(500'000, '[')));
  EXPECT_FALSE(read_arguments(std::string(1'000, '[') + std::string(1'000, ']')));
  EXPECT_TRUE(read_arguments("[[[1]]]"));
}

}  // namespace
}  // namespace palyra::gateway::policy
