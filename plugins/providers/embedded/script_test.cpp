#include "plugins/providers/embedded/script.h"

#include <gtest/gtest.h>

#include <string>

namespace palyra::embedded {
namespace {

using service::v1::ChatRequest;

ChatRequest prompt(const std::string& user, const std::string& tool_result = "") {
  ChatRequest request;
  auto* message = request.add_messages();
  message->set_role(service::v1::ROLE_USER);
  message->set_text(user);
  if (!tool_result.empty()) {
    request.add_messages()->set_role(service::v1::ROLE_ASSISTANT);
    message = request.add_messages();
    message->set_role(service::v1::ROLE_TOOL);
    message->set_text(tool_result);
  }
  return request;
}

Script script(const std::string& yaml) {
  auto result = Script::parse(yaml, "s.yaml");
  EXPECT_TRUE(result.ok()) << result.status().to_string();
  return std::move(*result);
}

std::string said(Script& script, const ChatRequest& request) {
  const auto answer = script.next(request);
  return answer ? answer->text : "(none)";
}

std::string problem(const std::string& yaml) {
  const auto result = Script::parse(yaml, "s.yaml");
  return result.ok() ? "" : result.status().message();
}

TEST(Script, TheFirstStepThatMatchesAnswers) {
  Script s = script(R"(
steps:
  - when: {contains: weather}
    text: sunny
  - when: {regex: "^h(i|ello)$"}
    text: greeting
  - when: {turn: 2}
    text: second
)");
  EXPECT_EQ(said(s, prompt("the weather?")), "sunny");
  EXPECT_EQ(said(s, prompt("hello")), "greeting");
  EXPECT_EQ(said(s, prompt("hellos")), "(none)");
  EXPECT_EQ(said(s, prompt("x", "y")), "second");
}

TEST(Script, LooksAtTheNewestTextUnlessToldOtherwise) {
  Script s = script(R"(
steps:
  - {when: {in: tool, contains: 42}, text: tool}
  - {when: {in: user, contains: 42}, text: user}
  - {when: {contains: "42"}, text: newest}
)");
  EXPECT_EQ(said(s, prompt("x", "it is 42")), "tool");
  EXPECT_EQ(said(s, prompt("42")), "user");
  EXPECT_EQ(said(s, prompt("42", "no")), "(none)") << "the results are newer";
}

TEST(Script, OnceMeansOncePerInstance) {
  Script s = script("steps:\n  - {once: true, text: a}\n  - {when: {any: true}, text: b}\n");
  EXPECT_EQ(said(s, prompt("x")), "a");
  EXPECT_EQ(said(s, prompt("x")), "b");
  EXPECT_EQ(said(s, prompt("x")), "b");
}

TEST(Script, ArgumentsBecomeJsonAndTextsGoOutAsTheyAre) {
  Script s = script(R"(
steps:
  - tool_calls:
      - name: a
        arguments: {n: 1, f: 1.5, yes: true, s: "1", list: [x, null]}
      - {name: b, arguments: '{"broken": '}
      - {name: c, call_id: mine}
)");
  const auto answer = s.next(prompt("x"));
  ASSERT_TRUE(answer.has_value());
  ASSERT_EQ(answer->tool_calls.size(), 3u);
  EXPECT_EQ(answer->tool_calls[0].arguments_json(),
            R"({"f":1.5,"list":["x",null],"n":1,"s":"1","yes":true})");
  EXPECT_EQ(answer->tool_calls[0].call_id(), "call_1_1");
  EXPECT_EQ(answer->tool_calls[1].arguments_json(), "{\"broken\": ");
  EXPECT_EQ(answer->tool_calls[2].arguments_json(), "{}");
  EXPECT_EQ(answer->tool_calls[2].call_id(), "mine");
}

TEST(Script, ErrorsNameFileAndLine) {
  EXPECT_EQ(problem("steps:\n  - text: a\n  - texd: b\n").substr(0, 30),
            "s.yaml:3: unknown key \"texd\"; ");
  EXPECT_EQ(problem("steps:\n  - text: a\n    delay_ms: fast\n"),
            "s.yaml:3: delay_ms must be a number from 0 to 600000");
  EXPECT_EQ(problem("steps:\n  - when:\n      regex: '('\n").substr(0, 31),
            "s.yaml:3: the regex is not vali");
  EXPECT_NE(problem("steps:\n  - failure: {kind: teapot}\n").find("s.yaml:2: unknown failure kind"),
            std::string::npos);
  EXPECT_NE(problem("steps:\n  - text: [\n").find("s.yaml:"), std::string::npos);
  EXPECT_NE(problem("").find("s.yaml:1: a script is a map"), std::string::npos);
  EXPECT_NE(problem("steps: 5").find("steps must be a list"), std::string::npos);
  EXPECT_NE(problem("steps:\n  - {hang: true, failure: {kind: auth}}").find("both hang and fail"),
            std::string::npos);
  EXPECT_NE(problem("steps:\n  - finish_reason: tired\n").find("s.yaml:2: finish_reason"),
            std::string::npos);
  EXPECT_NE(problem("steps:\n  - 5\n").find("s.yaml:2: a map is needed"), std::string::npos);
}

TEST(Script, AMissingFileIsSaid) {
  const auto result = Script::load("/nonexistent/script.yaml");
  EXPECT_EQ(result.status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace palyra::embedded
