#include "plugins/providers/embedded/provider.h"

#include "plugins/common/provider/testing/manual_lane.h"
#include "plugins/common/provider/testing/recording_sink.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace palyra::embedded {
namespace {

using provider::testing::ManualLane;
using provider::testing::RecordingSink;
using provider::testing::Transcript;
using service::v1::ChatRequest;

constexpr uint32_t kPlenty = 1'000'000;

ChatRequest ask(const std::string& text, const std::string& model = "rules") {
  ChatRequest request;
  request.set_model(model);
  request.set_max_output_tokens(100'000);
  auto* message = request.add_messages();
  message->set_role(service::v1::ROLE_USER);
  message->set_text(text);
  return request;
}

void add(ChatRequest* request, service::v1::Role role, const std::string& text,
         const std::string& call_id = "") {
  auto* message = request->add_messages();
  message->set_role(role);
  message->set_text(text);
  message->set_tool_call_id(call_id);
}

class EmbeddedProviderTest : public ::testing::Test {
 protected:
  void make(Config config = {}, const std::string& script = "") {
    std::optional<Script> parsed;
    if (!script.empty()) {
      auto result = Script::parse(script, "test.yaml");
      ASSERT_TRUE(result.ok()) << result.status().to_string();
      parsed = std::move(*result);
    }
    provider_ = std::make_unique<EmbeddedProvider>(lane_, lane_, config, std::move(parsed));
  }
  std::shared_ptr<Transcript> start(const ChatRequest& request, uint32_t credits = kPlenty) {
    if (!provider_) make();
    auto transcript = std::make_shared<Transcript>();
    provider_->chat(++turn_, request, credits, std::make_unique<RecordingSink>(transcript));
    EXPECT_EQ(transcript->events + transcript->endings, 0) << "nothing happens inside chat()";
    return transcript;
  }
  std::shared_ptr<Transcript> chat(const ChatRequest& request) {
    auto transcript = start(request);
    lane_.run();
    return transcript;
  }

  ManualLane lane_;
  std::unique_ptr<EmbeddedProvider> provider_;
  provider::TurnId turn_ = 0;
};

TEST_F(EmbeddedProviderTest, SaysThatItIsNotALanguageModel) {
  const auto t = chat(ask("What is love?"));
  ASSERT_TRUE(t->finished) << t->status.to_string();
  EXPECT_NE(t->text.find("not a language model"), std::string::npos);
  EXPECT_NE(t->text.find("What is love?"), std::string::npos);
  EXPECT_EQ(t->result.finish_reason(), service::v1::FINISH_REASON_STOP);
  EXPECT_EQ(t->result.model(), "rules");
  EXPECT_GT(t->result.usage().input_tokens(), 0);
  EXPECT_GT(t->result.usage().output_tokens(), 0);
  EXPECT_TRUE(t->result.usage().estimated());
  EXPECT_EQ(provider_->turns(), 0u);
}

TEST_F(EmbeddedProviderTest, StreamsWordByWord) {
  const auto t = chat(ask("/echo one two\nthree"));
  EXPECT_EQ(t->deltas, (std::vector<std::string>{"one ", "two\n", "three"}));
}

TEST_F(EmbeddedProviderTest, ToolLinesBecomeToolCalls) {
  const auto t = chat(ask("please\n/tool fs.read {\"path\": \"a b\"}\n/tool time.now"));
  ASSERT_EQ(t->calls.size(), 2u);
  EXPECT_EQ(t->calls[0].name(), "fs.read");
  EXPECT_EQ(t->calls[0].arguments_json(), R"({"path": "a b"})");
  EXPECT_EQ(t->calls[1].name(), "time.now");
  EXPECT_EQ(t->calls[1].arguments_json(), "{}");
  EXPECT_NE(t->calls[0].call_id(), t->calls[1].call_id());
  EXPECT_EQ(t->result.finish_reason(), service::v1::FINISH_REASON_TOOL_CALLS);
}

TEST_F(EmbeddedProviderTest, BadToolArgumentsAreExplainedNotCalled) {
  const auto t = chat(ask("/tool fs.read {\"path\""));
  EXPECT_TRUE(t->calls.empty());
  EXPECT_NE(t->text.find("not a JSON object"), std::string::npos);
}

TEST_F(EmbeddedProviderTest, SummarisesToolResultsOfTheCurrentTurnOnly) {
  auto request = ask("/tool fs.read {}");
  add(&request, service::v1::ROLE_ASSISTANT, "");
  auto* call = request.mutable_messages(1)->add_tool_calls();
  call->set_call_id("c1");
  call->set_name("fs.read");
  add(&request, service::v1::ROLE_TOOL, "the content", "c1");
  auto t = chat(request);
  EXPECT_TRUE(t->calls.empty()) << "the same call again would never end";
  EXPECT_NE(t->text.find("fs.read: the content"), std::string::npos) << t->text;

  add(&request, service::v1::ROLE_ASSISTANT, t->text);
  add(&request, service::v1::ROLE_USER, "/echo next");
  EXPECT_EQ(chat(request)->text, "next");
}

TEST_F(EmbeddedProviderTest, StopsAtTheLimitOfOutputTokens) {
  auto request = ask("/echo aaaa bbbb cccc dddd");
  request.set_max_output_tokens(3);
  const auto t = chat(request);
  EXPECT_EQ(t->text, "aaaa bbbb ");
  EXPECT_EQ(t->result.finish_reason(), service::v1::FINISH_REASON_LENGTH);
  EXPECT_LE(t->result.usage().output_tokens(), 3);
}

TEST_F(EmbeddedProviderTest, SendsNoMoreThanTheCreditsAllow) {
  const auto t = start(ask("/echo a b c d"), 2);
  lane_.run();
  EXPECT_EQ(t->text, "a b ");
  EXPECT_FALSE(t->ended());
  EXPECT_EQ(lane_.timers(), 0u) << "waiting for credits costs nothing";
  provider_->grant(turn_, 1);
  lane_.run();
  EXPECT_EQ(t->text, "a b c ");
  EXPECT_FALSE(t->ended());
  provider_->grant(turn_, 1);
  lane_.run();
  EXPECT_EQ(t->text, "a b c d");
  EXPECT_TRUE(t->finished) << "the end needs no credit";
  provider_->grant(turn_, 1);
  provider_->cancel(turn_);
  lane_.run();
}

TEST_F(EmbeddedProviderTest, CancelEndsATurnBetweenBatches) {
  const auto t = start(ask("/deltas 1000000 64"));
  ASSERT_TRUE(lane_.run_one());
  EXPECT_GT(t->events, 0);
  EXPECT_LT(t->events, 10'000) << "the lane must get a turn";
  provider_->cancel(turn_);
  lane_.run();
  EXPECT_EQ(t->status.code(), Code::kCancelled);
  EXPECT_EQ(provider_->turns(), 0u);
}

TEST_F(EmbeddedProviderTest, DeltasAreExactlyWhatWasAskedFor) {
  const auto t = chat(ask("/deltas 1000 64", "bench"));
  EXPECT_EQ(t->events, 1000);
  EXPECT_EQ(t->text.size(), 64'000u);
  EXPECT_EQ(t->result.usage().output_tokens(), 1000);
  EXPECT_EQ(lane_.timers_set(), 0u) << "no timers at zero delay";
  EXPECT_EQ(chat(ask("anything", "bench"))->events, 20);
}

TEST_F(EmbeddedProviderTest, WaitsBetweenDeltasWhenConfigured) {
  Config config;
  config.delay_ms = 10;
  make(config);
  const auto t = start(ask("/echo a b"));
  lane_.advance_ms(9);
  EXPECT_EQ(t->events, 0);
  lane_.advance_ms(1);
  EXPECT_EQ(t->events, 1);
  lane_.advance_ms(30);
  EXPECT_TRUE(t->finished);
  EXPECT_EQ(lane_.timers(), 0u);
}

TEST_F(EmbeddedProviderTest, CancelWhileWaitingLeavesNoTimer) {
  Config config;
  config.delay_ms = 1000;
  make(config);
  const auto t = start(ask("/echo a b"));
  lane_.advance_ms(1);
  provider_->cancel(turn_);
  lane_.run();
  EXPECT_EQ(t->status.code(), Code::kCancelled);
  EXPECT_EQ(lane_.timers(), 0u);
}

TEST_F(EmbeddedProviderTest, RefusesWhatItCannotDo) {
  EXPECT_EQ(chat(ask("hi", "gpt-4o"))->failure.kind(), service::v1::FAILURE_KIND_MODEL_NOT_FOUND);
  auto request = ask("hi");
  request.set_response_schema_json("{}");
  EXPECT_EQ(chat(request)->failure.kind(), service::v1::FAILURE_KIND_BAD_REQUEST);
  EXPECT_EQ(chat(ask(std::string(400'000, 'a')))->failure.kind(),
            service::v1::FAILURE_KIND_CONTEXT_OVERFLOW);
}

TEST_F(EmbeddedProviderTest, AHangEndsByTheFirstTokenTimeout) {
  make({}, "steps:\n  - hang: true\n");
  auto request = ask("hi");
  request.set_first_token_timeout_ms(250);
  const auto t = start(request);
  lane_.advance_ms(249);
  EXPECT_FALSE(t->ended());
  lane_.advance_ms(1);
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_TIMEOUT);
  EXPECT_EQ(t->status.code(), Code::kDeadlineExceeded);
}

TEST_F(EmbeddedProviderTest, AHangAfterTextEndsOnlyByCancel) {
  make({}, "steps:\n  - {text: a b, hang: true}\n");
  const auto t = start(ask("hi"));
  lane_.advance_ms(3'600'000);
  EXPECT_EQ(t->text, "a b");
  EXPECT_FALSE(t->ended());
  provider_->cancel(turn_);
  lane_.run();
  EXPECT_EQ(t->status.code(), Code::kCancelled);
}

TEST_F(EmbeddedProviderTest, ADelayLongerThanTheTimeoutTimesOut) {
  make({}, "steps:\n  - {text: late, delay_ms: 500}\n");
  auto request = ask("hi");
  request.set_first_token_timeout_ms(100);
  const auto t = start(request);
  lane_.advance_ms(1000);
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_TIMEOUT);
  EXPECT_EQ(t->events, 0);
}

TEST_F(EmbeddedProviderTest, AScriptedFailureComesAfterItsBytes) {
  make({}, R"(steps:
  - text: "abc žluť def"
    chunk_bytes: 2
    failure: {kind: rate_limit, message: slow down, retry_after_ms: 1500, http_status: 429, after_bytes: 5}
)");
  const auto t = chat(ask("hi"));
  EXPECT_EQ(t->text, "abc ") << "byte 5 is in the middle of a letter";
  EXPECT_EQ(t->status.code(), Code::kResourceExhausted);
  EXPECT_TRUE(t->status.retryable());
  EXPECT_EQ(t->status.message(), "slow down");
  EXPECT_EQ(t->failure.retry_after_ms(), 1500);
  EXPECT_EQ(t->failure.http_status(), 429);
}

TEST_F(EmbeddedProviderTest, ChunksNeverCutALetter) {
  make({}, "steps:\n  - {text: \"日本語žž\", chunk_bytes: 1}\n");
  const auto t = chat(ask("hi"));
  EXPECT_EQ(t->deltas, (std::vector<std::string>{"日", "本", "語", "ž", "ž"}));
}

TEST_F(EmbeddedProviderTest, TwoInstancesShareNothing) {
  const std::string yaml = "steps:\n  - {text: once, once: true}\n";
  make({}, yaml);
  auto first = std::move(provider_);
  make({}, yaml);
  EXPECT_EQ(chat(ask("/echo x"))->text, "once");
  EXPECT_EQ(chat(ask("/echo x"))->text, "x");
  provider_ = std::move(first);
  EXPECT_EQ(chat(ask("/echo x"))->text, "once");
}

TEST_F(EmbeddedProviderTest, DestroyedWithTurnsRunningIsSilent) {
  Config config;
  config.delay_ms = 10;
  make(config);
  const auto t = start(ask("/echo a b"));
  lane_.advance_ms(10);
  provider_.reset();
  lane_.advance_ms(100);
  EXPECT_EQ(t->events, 1);
  EXPECT_FALSE(t->ended());
}

TEST_F(EmbeddedProviderTest, ListsItsModelsAndCountsTokens) {
  make();
  service::v1::ListModelsResponse models;
  provider_->list_models(false, [&models](const auto& response) { models = response; });
  EXPECT_EQ(models.models_size(), 0) << "nothing happens inside list_models()";
  lane_.run();
  ASSERT_EQ(models.models_size(), 2);
  EXPECT_EQ(models.models(0).id(), "rules");
  EXPECT_EQ(models.models(0).context_window(), 32'768);
  EXPECT_TRUE(models.endpoint().empty());
  service::v1::CountTokensRequest count;
  count.add_texts("abcd");
  count.add_texts("");
  const auto counted = provider_->count_tokens(count);
  EXPECT_EQ(counted.tokens(0), 1);
  EXPECT_EQ(counted.tokens(1), 0);
  EXPECT_TRUE(counted.estimated());
}

TEST(EmbeddedConfig, HasDefaultsAndRefusesNonsense) {
  EXPECT_EQ(parse_config("{}")->delay_ms, 0);
  EXPECT_EQ(parse_config(R"({"delay_ms": 5, "script": "a.yaml"})")->script, "a.yaml");
  EXPECT_FALSE(parse_config(R"({"delay_ms": -1})").ok());
  EXPECT_FALSE(parse_config(R"({"script": 5})").ok());
  EXPECT_FALSE(parse_config("{").ok());
}

}  // namespace
}  // namespace palyra::embedded
