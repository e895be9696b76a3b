// The OpenAI provider against mock-llm, a server that other people wrote.
#include "tests/providers/fixture.h"
#include "tests/providers/mock_llm_server.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace palyra::openai {
namespace {

constexpr const char* kConfig = R"yaml(
streaming:
  chunkSize: 4
  chunkIntervalMs: 1
rules:
  - path: "/v1/chat/completions"
    method: "POST"
    match: "@"
    response:
      status: 200
      content: |
        {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "{{jmes request body.model}}",
         "choices": [{"message": {"role": "assistant",
           "content": "{{jmes request body.messages[-1].content}} for {{jmes request headers.authorization}}"},
           "finish_reason": "stop"}]}
  - path: "/v1/chat/completions"
    match: "contains(body.messages[-1].content, 'error-401')"
    response:
      status: 401
      content: |
        {"error": {"message": "Incorrect API key provided.", "type": "invalid_request_error",
                   "param": null, "code": "invalid_api_key"}}
  - path: "/v1/chat/completions"
    match: "contains(body.messages[-1].content, 'error-context')"
    response:
      status: 400
      content: |
        {"error": {"message": "This model's maximum context length is 8 tokens.",
                   "type": "invalid_request_error", "param": "messages",
                   "code": "context_length_exceeded"}}
  - path: "/v1/models"
    method: "GET"
    response:
      status: 200
      content: |
        {"object": "list", "data": [{"id": "gpt-4", "object": "model"}, {"id": "gpt-5", "object": "model"}]}
)yaml";

class MockLlm : public RealHttpTest {
 protected:
  static void SetUpTestSuite() { server_ = std::make_unique<MockLlmServer>(kConfig); }
  static void TearDownTestSuite() { server_.reset(); }
  void SetUp() override {
    ASSERT_EQ(server_->problem(), "");
    make(server_->url("/v1"));
  }
  static std::unique_ptr<MockLlmServer> server_;
};

std::unique_ptr<MockLlmServer> MockLlm::server_;

TEST_F(MockLlm, StreamsAnEchoWithTheKey) {
  const auto t = chat("Hello there");
  ASSERT_TRUE(t->finished) << t->status.to_string();
  EXPECT_EQ(t->text, std::string("Hello there for Bearer ") + kKey);
  EXPECT_GT(t->events, 5) << "it came in pieces";
  EXPECT_EQ(t->result.finish_reason(), service::v1::FINISH_REASON_STOP);
  EXPECT_EQ(t->result.model(), "gpt-test");
  EXPECT_EQ(t->result.provider_request_id(), "chatcmpl-1");
  EXPECT_TRUE(t->result.usage().estimated());
}

TEST_F(MockLlm, ManyTurnsAtOnce) {
  std::vector<std::shared_ptr<Transcript>> turns;
  for (int i = 0; i < 40; ++i) turns.push_back(start(ask("turn " + std::to_string(i))));
  for (size_t i = 0; i < turns.size(); ++i) {
    ASSERT_TRUE(lane_.run_until([&] { return turns[i]->ended(); }));
    EXPECT_TRUE(turns[i]->finished) << turns[i]->status.to_string();
    EXPECT_EQ(turns[i]->text.find("turn " + std::to_string(i) + " for"), 0u);
  }
}

TEST_F(MockLlm, ARefusedKeyIsAnAuthFailure) {
  const auto t = chat("error-401");
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_AUTH);
  EXPECT_FALSE(t->status.retryable());
}

TEST_F(MockLlm, ATooLongPromptIsAContextOverflow) {
  EXPECT_EQ(chat("error-context")->failure.kind(), service::v1::FAILURE_KIND_CONTEXT_OVERFLOW);
}

TEST_F(MockLlm, AProbeListsItsModels) {
  const auto models = probe();
  EXPECT_EQ(models.state(), service::v1::PROVIDER_STATE_READY) << models.detail();
  ASSERT_EQ(models.models_size(), 2);
  EXPECT_EQ(models.models(0).id(), "gpt-4");
}

TEST_F(MockLlm, CancelInTheMiddleEndsTheTurn) {
  const auto t = start(ask(std::string(4000, 'x')));
  ASSERT_TRUE(lane_.run_until([&] { return t->events > 0; }));
  provider_->cancel(id_);
  ASSERT_TRUE(lane_.run_until([&] { return t->ended(); }));
  EXPECT_EQ(t->status.code(), Code::kCancelled);
}

}  // namespace
}  // namespace palyra::openai
