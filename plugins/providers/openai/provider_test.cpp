// Turns against a server in memory: credits, retries, the breaker, queues, cancel.
#include "plugins/providers/openai/provider.h"

#include "plugins/common/http/testing/fake_http.h"
#include "plugins/common/provider/testing/manual_lane.h"
#include "plugins/common/provider/testing/recording_sink.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>

namespace palyra::openai {
namespace {

using http::testing::FakeHttp;
using provider::testing::ManualLane;
using provider::testing::RecordingSink;
using provider::testing::Transcript;
using service::v1::ChatRequest;

struct ZeroRandom : Random {
  void fill(void* out, size_t size) override { std::memset(out, 0, size); }
};

std::string delta(const std::string& text) {
  return "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + text + "\"}}]}\n\n";
}
const std::string kStop =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const std::string kDone = "data: [DONE]\n\n";

class OpenAiProviderTest : public ::testing::Test {
 protected:
  void make() {
    config_.base_url = "http://127.0.0.1/v1";
    provider_ = std::make_unique<OpenAiProvider>(
        lane_, lane_, random_, http_, [this](auto done) { done(key_); }, config_);
  }
  std::shared_ptr<Transcript> chat(uint32_t credits = 1000, bool background = false) {
    if (!provider_) make();
    ChatRequest request;
    request.set_model("m");
    request.set_background(background);
    auto* message = request.add_messages();
    message->set_role(service::v1::ROLE_USER);
    message->set_text("hi");
    auto transcript = std::make_shared<Transcript>();
    provider_->chat(++id_, request, credits, std::make_unique<RecordingSink>(transcript));
    lane_.run();
    return transcript;
  }
  void stream_head(http::RequestId id) {
    http_.head(id, 200, {{"Content-Type", "text/event-stream; charset=utf-8"}});
  }

  ManualLane lane_;
  ZeroRandom random_;
  FakeHttp http_;
  Config config_;
  Result<std::string> key_{std::string("sk-test-key")};
  std::unique_ptr<OpenAiProvider> provider_;
  provider::TurnId id_ = 0;
};

TEST_F(OpenAiProviderTest, StreamsAnAnswer) {
  config_.api_key = "env:K";
  const auto t = chat();
  ASSERT_EQ(http_.requests.size(), 1u);
  EXPECT_EQ(http_.requests[0].url, "http://127.0.0.1/v1/chat/completions");
  bool authorized = false;
  for (const auto& header : http_.requests[0].headers) {
    authorized = authorized || header.value == "Bearer sk-test-key";
  }
  EXPECT_TRUE(authorized);
  stream_head(1);
  http_.body(1, delta("Hel") + delta("lo"));
  EXPECT_EQ(t->text, "Hello");
  http_.body(1, kStop + kDone);
  EXPECT_TRUE(t->finished);
  EXPECT_TRUE(http_.open(1)) << "the connection is left to end well";
  http_.done(1);
  lane_.run();
  EXPECT_EQ(t->endings, 1);
  EXPECT_EQ(lane_.timers(), 0u);
}

TEST_F(OpenAiProviderTest, DeltasWaitForCreditsAndAreJoined) {
  const auto t = chat(1);
  stream_head(1);
  http_.body(1, delta("a") + delta("b") + delta("c") + kStop + kDone);
  EXPECT_EQ(t->text, "a");
  EXPECT_FALSE(t->ended());
  provider_->grant(id_, 1);
  EXPECT_EQ(t->text, "abc");
  EXPECT_EQ(t->events, 2);
  EXPECT_TRUE(t->finished);
}

TEST_F(OpenAiProviderTest, ASlowCallerLeavesTheSocketUnread) {
  const auto t = chat(0);
  stream_head(1);
  const std::string big(4000, 'x');
  for (int i = 0; i < 300; ++i) http_.body(1, delta(big));
  EXPECT_TRUE(http_.paused(1));
  provider_->grant(id_, 1000);
  EXPECT_FALSE(http_.paused(1));
  EXPECT_EQ(t->text.size(), 300u * 4000);
}

TEST_F(OpenAiProviderTest, RetriesUntilSomethingHasArrived) {
  const auto t = chat();
  http_.done(1, Status(Code::kUnavailable, "refused"));
  EXPECT_FALSE(t->ended());
  lane_.advance_ms(75);
  ASSERT_EQ(http_.requests.size(), 2u);
  http_.head(2, 500);
  http_.done(2);
  lane_.advance_ms(150);
  ASSERT_EQ(http_.requests.size(), 3u);
  stream_head(3);
  http_.body(3, delta("ok") + kStop + kDone);
  EXPECT_EQ(t->text, "ok");
  EXPECT_TRUE(t->finished);
}

TEST_F(OpenAiProviderTest, NothingIsRepeatedOnceATokenWasSeen) {
  const auto t = chat();
  stream_head(1);
  http_.body(1, delta("half"));
  http_.done(1, Status(Code::kUnavailable, "cut"));
  lane_.advance_ms(10'000);
  EXPECT_EQ(http_.requests.size(), 1u);
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_UNAVAILABLE);
}

TEST_F(OpenAiProviderTest, RetryAfterIsObeyed) {
  const auto t = chat();
  http_.head(1, 429, {{"Retry-After", "2"}});
  http_.done(1);
  lane_.advance_ms(1999);
  EXPECT_EQ(http_.requests.size(), 1u);
  lane_.advance_ms(1);
  EXPECT_EQ(http_.requests.size(), 2u);
  http_.head(2, 429, {{"Retry-After", "3600"}});
  http_.done(2);
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_RATE_LIMIT);
  EXPECT_EQ(t->failure.retry_after_ms(), 3'600'000);
}

TEST_F(OpenAiProviderTest, TheBreakerOpensAndLetsOneProbePass) {
  const auto t = chat();
  for (http::RequestId id = 1; id <= 3; ++id) {
    http_.head(id, 503);
    http_.done(id);
    lane_.advance_ms(300);
  }
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_UNAVAILABLE);
  const auto refused = chat();
  EXPECT_EQ(http_.requests.size(), 3u);
  EXPECT_EQ(refused->failure.kind(), service::v1::FAILURE_KIND_CIRCUIT_OPEN);
  EXPECT_GT(refused->failure.retry_after_ms(), 20'000);
  lane_.advance_ms(30'000);
  const auto probe = chat();
  const auto second = chat();
  EXPECT_EQ(second->failure.kind(), service::v1::FAILURE_KIND_CIRCUIT_OPEN);
  stream_head(4);
  http_.body(4, delta("ok") + kStop + kDone);
  EXPECT_TRUE(probe->finished);
  chat();
  EXPECT_EQ(http_.requests.size(), 5u);
}

TEST_F(OpenAiProviderTest, NoTokenInTimeIsATimeout) {
  config_.first_token_timeout_ms = 500;
  const auto t = chat();
  stream_head(1);
  http_.body(1, ": keep-alive\n\n");
  lane_.advance_ms(500);
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_TIMEOUT);
  EXPECT_FALSE(http_.open(1));
  EXPECT_EQ(http_.requests.size(), 1u);
}

TEST_F(OpenAiProviderTest, CancelCutsTheRequest) {
  const auto t = chat();
  stream_head(1);
  http_.body(1, delta("a"));
  provider_->cancel(id_);
  EXPECT_FALSE(t->ended()) << "not inside cancel()";
  lane_.run();
  EXPECT_EQ(t->status.code(), Code::kCancelled);
  EXPECT_FALSE(http_.open(1));
  EXPECT_EQ(provider_->turns(), 0u);
}

TEST_F(OpenAiProviderTest, ForegroundGoesBeforeBackground) {
  config_.max_concurrency = 1;
  const auto first = chat();
  const auto background = chat(1000, true);
  const auto foreground = chat();
  EXPECT_EQ(http_.requests.size(), 1u);
  stream_head(1);
  http_.body(1, delta("1") + kStop + kDone);
  lane_.run();
  stream_head(2);
  http_.body(2, delta("2") + kStop + kDone);
  lane_.run();
  EXPECT_TRUE(foreground->finished);
  EXPECT_FALSE(background->ended());
  stream_head(3);
  http_.body(3, delta("3") + kStop + kDone);
  EXPECT_TRUE(background->finished);
  EXPECT_TRUE(first->finished);
}

TEST_F(OpenAiProviderTest, ACancelledTurnInTheQueueIsNeverSent) {
  config_.max_concurrency = 1;
  chat();
  const auto waiting = chat();
  provider_->cancel(id_);
  lane_.run();
  EXPECT_EQ(waiting->status.code(), Code::kCancelled);
  stream_head(1);
  http_.body(1, kStop + kDone);
  lane_.run();
  EXPECT_EQ(http_.requests.size(), 1u);
}

TEST_F(OpenAiProviderTest, AMissingKeySaysSoWithoutARequest) {
  config_.api_key = "env:NOT_SET";
  key_ = Status(Code::kNotFound, "environment variable NOT_SET is not set");
  const auto t = chat();
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_AUTH);
  EXPECT_NE(t->status.message().find("NOT_SET"), std::string::npos);
  EXPECT_TRUE(http_.requests.empty());
  service::v1::ListModelsResponse models;
  provider_->list_models(false, [&](const auto& response) { models = response; });
  lane_.run();
  EXPECT_EQ(models.state(), service::v1::PROVIDER_STATE_KEY_MISSING);
}

TEST_F(OpenAiProviderTest, AProbeLearnsModels) {
  make();
  service::v1::ListModelsResponse models;
  const auto probe = [&] {
    provider_->list_models(true, [&](const auto& response) { models = response; });
    lane_.run();
    return http_.requests.size();
  };
  auto id = probe();
  EXPECT_EQ(http_.requests.back().url, "http://127.0.0.1/v1/models");
  http_.head(id, 200);
  http_.body(id, R"({"data":[{"id":"a"},{"id":"b"},5,{"id":7}]})");
  http_.done(id);
  EXPECT_EQ(models.state(), service::v1::PROVIDER_STATE_READY);
  ASSERT_EQ(models.models_size(), 2);
  EXPECT_EQ(models.endpoint(), "127.0.0.1");

  id = probe();
  http_.done(id, Status(Code::kUnavailable, "refused"));
  EXPECT_EQ(models.state(), service::v1::PROVIDER_STATE_UNREACHABLE);
  EXPECT_EQ(models.detail(), "refused");
  id = probe();
  http_.head(id, 401);
  http_.done(id);
  EXPECT_EQ(models.state(), service::v1::PROVIDER_STATE_KEY_MISSING);
}

TEST_F(OpenAiProviderTest, DestroyedWithTurnsRunningIsSilent) {
  config_.max_concurrency = 1;
  const auto running = chat();
  const auto waiting = chat();
  provider_.reset();
  EXPECT_FALSE(http_.open(1));
  lane_.advance_ms(100'000);
  EXPECT_FALSE(running->ended());
  EXPECT_FALSE(waiting->ended());
}

}  // namespace
}  // namespace palyra::openai
