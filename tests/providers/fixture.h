// The real provider class over the real HTTP client, on a lane of the test.
#pragma once

#include "plugins/common/http/curl_client.h"
#include "plugins/common/http/testing/thread_lane.h"
#include "plugins/common/provider/testing/recording_sink.h"
#include "plugins/providers/openai/provider.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>

namespace palyra::openai {

struct OsRandom : Random {
  void fill(void* out, size_t size) override {
    std::random_device device;
    for (size_t i = 0; i < size; ++i)
      static_cast<uint8_t*>(out)[i] = static_cast<uint8_t>(device());
  }
};

class RealHttpTest : public ::testing::Test {
 protected:
  using Transcript = provider::testing::Transcript;
  static constexpr const char* kKey = "sk-live-0123456789abcdef";

  void make(const std::string& base_url) {
    config_.base_url = base_url;
    config_.api_key = "env:TEST_KEY";
    client_ = std::make_unique<http::CurlClient>(clock_, lane_);
    provider_ = std::make_unique<OpenAiProvider>(
        clock_, lane_, random_, *client_, [](auto done) { done(std::string(kKey)); }, config_);
  }
  void TearDown() override {
    provider_.reset();
    client_.reset();
  }
  static service::v1::ChatRequest ask(const std::string& text) {
    service::v1::ChatRequest request;
    request.set_model("gpt-test");
    request.set_max_output_tokens(1000);
    auto* message = request.add_messages();
    message->set_role(service::v1::ROLE_USER);
    message->set_text(text);
    return request;
  }
  std::shared_ptr<Transcript> start(const service::v1::ChatRequest& request,
                                    uint32_t credits = 1'000'000) {
    auto transcript = std::make_shared<Transcript>();
    provider_->chat(++id_, request, credits,
                    std::make_unique<provider::testing::RecordingSink>(transcript));
    return transcript;
  }
  std::shared_ptr<Transcript> chat(const std::string& text = "hi") {
    auto transcript = start(ask(text));
    EXPECT_TRUE(lane_.run_until([&] { return transcript->ended(); })) << "the turn never ended";
    EXPECT_EQ(transcript->status.message().find("0123456789"), std::string::npos)
        << "the key leaked: " << transcript->status.message();
    return transcript;
  }
  service::v1::ListModelsResponse probe() {
    service::v1::ListModelsResponse models;
    bool done = false;
    provider_->list_models(true, [&](const auto& response) {
      models = response;
      done = true;
    });
    EXPECT_TRUE(lane_.run_until([&] { return done; }));
    return models;
  }

  http::testing::SteadyClock clock_;
  http::testing::ThreadLane lane_;
  OsRandom random_;
  Config config_;
  std::unique_ptr<http::CurlClient> client_;
  std::unique_ptr<OpenAiProvider> provider_;
  provider::TurnId id_ = 0;
};

}  // namespace palyra::openai
