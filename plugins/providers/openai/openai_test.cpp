// The pure parts: names, bodies, chunks, errors, configuration.
#include "plugins/providers/openai/api_error.h"
#include "plugins/providers/openai/completion.h"
#include "plugins/providers/openai/config.h"
#include "plugins/providers/openai/request_body.h"
#include "plugins/providers/openai/tool_names.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace palyra::openai {
namespace {

using nlohmann::json;
using service::v1::ChatRequest;

TEST(ToolNames, AreMappedAndBack) {
  ToolNames names;
  EXPECT_EQ(names.to_api("fs.read"), "fs_read");
  EXPECT_EQ(names.to_api("fs_read"), "fs_read_2") << "two names never share one";
  EXPECT_EQ(names.to_api("fs.read"), "fs_read");
  EXPECT_EQ(names.from_api("fs_read"), "fs.read");
  EXPECT_EQ(names.from_api("fs_read_2"), "fs_read");
  EXPECT_EQ(names.from_api("unknown"), "unknown");
  const std::string long_name(100, 'a');
  EXPECT_EQ(names.to_api(long_name).size(), 64u);
  EXPECT_EQ(names.to_api(long_name + "b").size(), 64u);
  EXPECT_NE(names.to_api(long_name), names.to_api(long_name + "b"));
  EXPECT_EQ(names.from_api(names.to_api(long_name + "b")), long_name + "b");
}

TEST(RequestBody, SaysWhatTheApiWants) {
  ChatRequest request;
  request.set_model("gpt-4o");
  request.set_max_output_tokens(100);
  request.set_temperature(0.5);
  auto* tool = request.add_tools();
  tool->set_name("fs.read");
  tool->set_description("reads");
  tool->set_input_schema_json(R"({"type":"object"})");
  auto* system = request.add_messages();
  system->set_role(service::v1::ROLE_SYSTEM);
  system->set_text("be brief");
  auto* assistant = request.add_messages();
  assistant->set_role(service::v1::ROLE_ASSISTANT);
  auto* call = assistant->add_tool_calls();
  call->set_call_id("c1");
  call->set_name("fs.read");
  call->set_arguments_json("{\"a\":1}");
  auto* result = request.add_messages();
  result->set_role(service::v1::ROLE_TOOL);
  result->set_tool_call_id("c1");
  result->set_text("content");
  request.set_response_schema_json(R"({"type":"object"})");

  ToolNames names;
  const auto body = build_request_body(request, Config{}, &names);
  ASSERT_TRUE(body.ok());
  const json root = json::parse(*body);
  EXPECT_EQ(root["max_completion_tokens"], 100);
  EXPECT_EQ(root["stream_options"]["include_usage"], true);
  EXPECT_EQ(root["tools"][0]["function"]["name"], "fs_read");
  EXPECT_EQ(root["messages"][0]["role"], "system");
  EXPECT_TRUE(root["messages"][1]["content"].is_null());
  EXPECT_EQ(root["messages"][1]["tool_calls"][0]["function"]["name"], "fs_read");
  EXPECT_EQ(root["messages"][1]["tool_calls"][0]["function"]["arguments"], "{\"a\":1}");
  EXPECT_EQ(root["messages"][2]["tool_call_id"], "c1");
  EXPECT_EQ(root["response_format"]["json_schema"]["schema"]["type"], "object");

  Config legacy;
  legacy.legacy_max_tokens = true;
  legacy.stream_usage = false;
  ToolNames others;
  const json old = json::parse(*build_request_body(request, legacy, &others));
  EXPECT_EQ(old["max_tokens"], 100);
  EXPECT_EQ(old.count("max_completion_tokens") + old.count("stream_options"), 0u);

  tool->set_input_schema_json("{");
  EXPECT_EQ(build_request_body(request, Config{}, &names).status().code(), Code::kInvalidArgument);
}

struct Heard {
  ToolNames names;
  std::string text, reasoning;
  std::vector<common::v1::ToolCall> calls;
  Completion completion{names, [this](service::v1::ChatEvent event) {
                          text += event.text_delta();
                          reasoning += event.reasoning_delta();
                          if (event.has_tool_call()) calls.push_back(event.tool_call());
                        }};
};

TEST(Completion, ToolCallsArriveInFragments) {
  Heard h;
  h.names.to_api("fs.read");
  const char* chunks[] = {
      R"({"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"a","function":{"name":"fs_read","arguments":""}}]}}]})",
      R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"p"}}]}}]})",
      R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"other","arguments":"{}"}}]}}]})",
      R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\":1}"}}]}}]})",
      R"({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})",
      R"({"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}})"};
  for (const char* chunk : chunks) {
    EXPECT_EQ(h.completion.feed_chunk(chunk), Completion::Fed::kOk) << h.completion.problem();
  }
  EXPECT_EQ(h.completion.feed_chunk("[DONE]"), Completion::Fed::kDone);
  ASSERT_TRUE(h.completion.finish());
  ASSERT_EQ(h.calls.size(), 2u);
  EXPECT_EQ(h.calls[0].name(), "fs.read");
  EXPECT_EQ(h.calls[0].arguments_json(), "{\"p\":1}");
  EXPECT_EQ(h.calls[1].call_id(), "b");
  const auto result = h.completion.result(ChatRequest());
  EXPECT_EQ(result.finish_reason(), service::v1::FINISH_REASON_TOOL_CALLS);
  EXPECT_EQ(result.usage().input_tokens(), 10);
  EXPECT_EQ(result.usage().cached_input_tokens(), 4);
  EXPECT_EQ(result.usage().reasoning_tokens(), 2);
  EXPECT_FALSE(result.usage().estimated());
}

TEST(Completion, SeveralWholeCallsOfOneIndexAreSeveralCalls) {
  Heard h;
  EXPECT_EQ(
      h.completion.feed_chunk(
          R"({"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"x","arguments":"{}"}}]}}]})"),
      Completion::Fed::kOk);
  EXPECT_EQ(
      h.completion.feed_chunk(
          R"({"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"y"}}]},"finish_reason":"stop"}]})"),
      Completion::Fed::kOk);
  ASSERT_TRUE(h.completion.finish());
  ASSERT_EQ(h.calls.size(), 2u);
  EXPECT_EQ(h.calls[1].arguments_json(), "{}");
  EXPECT_EQ(h.completion.result(ChatRequest()).finish_reason(),
            service::v1::FINISH_REASON_TOOL_CALLS);
}

TEST(Completion, ReasoningHasTwoNamesAndUsageMayBeMissing) {
  Heard h;
  (void)h.completion.feed_chunk(R"({"choices":[{"delta":{"reasoning_content":"a"}}]})");
  (void)h.completion.feed_chunk(R"({"choices":[{"delta":{"reasoning":"b","content":"text"}}]})");
  (void)h.completion.feed_chunk(R"({"choices":[{"delta":{},"finish_reason":"content_filter"}]})");
  EXPECT_EQ(h.reasoning, "ab");
  EXPECT_EQ(h.text, "text");
  const auto result = h.completion.result(ChatRequest());
  EXPECT_EQ(result.finish_reason(), service::v1::FINISH_REASON_FILTERED);
  EXPECT_TRUE(result.usage().estimated());
  EXPECT_EQ(result.usage().output_tokens(), 1);
}

TEST(Completion, HalfACallThatTheLimitCutOffIsNotMade) {
  Heard h;
  (void)h.completion.feed_chunk(
      R"({"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"rm","arguments":"{\"pa"}}]},"finish_reason":"length"}]})");
  ASSERT_TRUE(h.completion.finish());
  EXPECT_TRUE(h.calls.empty());
}

TEST(Completion, NonsenseIsSaidNotCrashedOn) {
  for (const char* chunk : {"{", "5", "null", "[]", R"({"choices":5})", R"({"choices":[5]})",
                            R"({"choices":[{"delta":{"tool_calls":5}}]})",
                            R"({"choices":[{"delta":{"tool_calls":[5]}}]})"}) {
    Heard h;
    EXPECT_EQ(h.completion.feed_chunk(chunk), Completion::Fed::kBad) << chunk;
    EXPECT_FALSE(h.completion.problem().empty());
  }
  for (const char* chunk :
       {"{}", R"({"choices":[{"delta":5}]})", R"({"usage":7,"id":[],"model":{}})",
        R"({"choices":[{"index":-1e9,"delta":{"content":{}}}]})"}) {
    Heard h;
    EXPECT_EQ(h.completion.feed_chunk(chunk), Completion::Fed::kOk) << chunk;
  }
  Heard huge;
  const std::string part =
      R"({"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"x","arguments":")" +
      std::string(600'000, 'a') + R"("}}]}}]})";
  EXPECT_EQ(huge.completion.feed_chunk(part), Completion::Fed::kOk);
  EXPECT_EQ(huge.completion.feed_chunk(part), Completion::Fed::kBad);
}

provider::Failure answer(int status, const std::string& body,
                         std::vector<http::Header> headers = {}) {
  return failure_of_answer("api.test", http::ResponseHead{status, std::move(headers)}, body,
                           "sk-live-0123456789abcdef", 0);
}

TEST(ApiError, KindsComeFromCodesBeforeStatus) {
  using namespace service::v1;
  EXPECT_EQ(answer(401, "{}").detail.kind(), FAILURE_KIND_AUTH);
  EXPECT_EQ(answer(403, "no").detail.kind(), FAILURE_KIND_AUTH);
  EXPECT_EQ(answer(404, "").detail.kind(), FAILURE_KIND_MODEL_NOT_FOUND);
  EXPECT_EQ(answer(429, R"({"error":{"code":"insufficient_quota"}})").detail.kind(),
            FAILURE_KIND_QUOTA);
  EXPECT_EQ(answer(429, R"({"error":{"code":"rate_limit_exceeded"}})").detail.kind(),
            FAILURE_KIND_RATE_LIMIT);
  EXPECT_EQ(answer(400, R"({"error":{"code":"context_length_exceeded"}})").detail.kind(),
            FAILURE_KIND_CONTEXT_OVERFLOW);
  EXPECT_EQ(answer(400, R"({"error":"bad field"})").detail.kind(), FAILURE_KIND_BAD_REQUEST);
  EXPECT_EQ(answer(503, "<html>").detail.kind(), FAILURE_KIND_UNAVAILABLE);
  EXPECT_EQ(answer(302, "").detail.kind(), FAILURE_KIND_PROTOCOL);
  const auto limited = answer(429, "{}", {{"Retry-After", "7"}});
  EXPECT_EQ(limited.detail.retry_after_ms(), 7000);
  EXPECT_EQ(limited.detail.http_status(), 429);
  EXPECT_EQ(answer(429, "{}", {{"retry-after-ms", "250"}}).detail.retry_after_ms(), 250);
}

TEST(ApiError, TheKeyIsRemovedFromWhatServersSay) {
  for (const char* body :
       {R"({"error":{"message":"Incorrect API key provided: sk-live-0123456789abcdef."}})",
        R"({"error":{"message":"key sk-live-01********cdef is bad"}})",
        "raw sk-live-0123456789abcdef text", R"({"error":{"code":"sk-live-0123456789abcdef"}})",
        R"({"error":"begins sk-live-0123456"})"}) {
    const auto failure = answer(401, body);
    EXPECT_EQ(failure.status.message().find("0123456"), std::string::npos)
        << failure.status.message();
  }
  EXPECT_LE(scrub(std::string(10'000, 'x'), "").size(), 310u);
  EXPECT_EQ(scrub("a\r\nb\x80", ""), "a  b?");
}

TEST(OpenAiConfig, RefusesAKeyInClearToAnotherMachine) {
  EXPECT_FALSE(parse_config(R"({"base_url":"http://10.0.0.5/v1","api_key":"env:K"})").ok());
  EXPECT_TRUE(parse_config(R"({"base_url":"http://10.0.0.5/v1"})").ok());
  EXPECT_TRUE(parse_config(R"({"base_url":"http://127.0.0.1:1234/v1/","api_key":"env:K"})").ok());
  EXPECT_TRUE(parse_config(R"({"base_url":"http://[::1]:1234/v1","api_key":"env:K"})").ok());
  EXPECT_FALSE(parse_config(R"({"base_url":"http://127.0.0.1.evil.org/","api_key":"env:K"})").ok());
}

TEST(OpenAiConfig, HasDefaultsAndRefusesNonsense) {
  EXPECT_EQ(parse_config("{}")->base_url, "https://api.openai.com/v1");
  EXPECT_EQ(parse_config(R"({"base_url":"https://x/v1/"})")->base_url, "https://x/v1");
  EXPECT_EQ(parse_config(R"({"models":[{"id":"m","context_window":5}]})")->models[0].context_window,
            5);
  for (const char* bad : {"{", R"({"base_url":"ftp://x"})", R"({"models":[{}]})",
                          R"({"headers":{"a b":"c"}})", R"({"max_concurrency":0})"}) {
    EXPECT_FALSE(parse_config(bad).ok()) << bad;
  }
  EXPECT_FALSE(known_models("https://api.openai.com/v1").empty());
  EXPECT_TRUE(known_models("http://localhost").empty());
}

}  // namespace
}  // namespace palyra::openai
