// SPDX-License-Identifier: Apache-2.0
#include "tests/keyed_tool/testtools.h"

#include "palyra/testing/executor.hpp"
#include "plugins/common/tool/tool_set.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

namespace palyra::testtools {
namespace {

using Outcome = std::optional<Result<service::v1::InvokeResult>>;

class TestToolsTest : public ::testing::Test {
 protected:
  TestToolsTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "palyra-tt-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    tools_ = std::make_unique<tool::ToolSet>(
        *tool::ToolSet::create(make_tools(clock_, executor_, directory_.string())));
  }
  ~TestToolsTest() override { std::filesystem::remove_all(directory_); }

  std::shared_ptr<Outcome> begin(const char* name, const char* arguments, const char* key,
                                 CancelToken cancel = {}) {
    service::v1::InvokeRequest request;
    request.set_name(name);
    request.set_arguments_json(arguments);
    request.set_idempotency_key(key);
    request.set_attempt(1);
    request.mutable_context()->set_run_id("RUN");
    auto out = std::make_shared<Outcome>();
    spawn([](const tool::ToolSet& set, service::v1::InvokeRequest r, CancelToken token,
             std::shared_ptr<Outcome> result) -> Task<void> {
      *result = co_await set.invoke(std::move(r), token);
    }(*tools_, std::move(request), cancel, out));
    executor_.run_until_idle();
    return out;
  }
  std::string call(const char* name, const char* arguments, const char* key) {
    const auto out = begin(name, arguments, key);
    EXPECT_TRUE(*out && (*out)->ok()) << (*out ? (*out)->status().to_string() : "no answer");
    return *out && (*out)->ok() ? (**out)->content() : "";
  }
  std::string get(const char* file) {
    std::ifstream in(directory_ / file);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::filesystem::path directory_;
  palyra::testing::ManualClock clock_;
  palyra::testing::DeterministicExecutor executor_{clock_};
  std::unique_ptr<tool::ToolSet> tools_;
};

TEST_F(TestToolsTest, AKeyHasOneEffectHoweverOftenItIsUsed) {
  EXPECT_EQ(call("test.keyed", R"({"value": "a"})", "k1"), R"({"effects":1,"first":true})");
  EXPECT_EQ(call("test.keyed", R"({"value": "a"})", "k1"), R"({"effects":1,"first":false})");
  EXPECT_EQ(call("test.keyed", "{}", "k2"), R"({"effects":2,"first":true})");
  EXPECT_EQ(get("keyed.log"), "k1 RUN a\nk2 RUN -\n");
  EXPECT_EQ(get("attempts.log"), "k1 RUN 1 test.keyed\nk1 RUN 1 test.keyed\nk2 RUN 1 test.keyed\n");
}

TEST_F(TestToolsTest, OpaqueCountsEveryExecution) {
  call("test.opaque", R"({"value": "a"})", "k1");
  call("test.opaque", R"({"value": "a"})", "k1");
  EXPECT_EQ(get("opaque.log"), "k1 RUN a\nk1 RUN a\n");
}

TEST_F(TestToolsTest, ADelayComesAfterTheAttemptAndBeforeTheEffect) {
  const auto out = begin("test.keyed", R"({"delay_ms": 100})", "k1");
  EXPECT_FALSE(*out);
  EXPECT_EQ(get("attempts.log"), "k1 RUN 1 test.keyed\n");
  EXPECT_EQ(get("keyed.log"), "");
  executor_.advance(100 * kNanosPerMilli);
  ASSERT_TRUE(*out);
  EXPECT_EQ(get("keyed.log"), "k1 RUN -\n");
}

TEST_F(TestToolsTest, SlowCanBeCancelled) {
  CancelToken cancel;
  const auto out = begin("test.slow", R"({"delay_ms": 60000})", "k1", cancel);
  EXPECT_FALSE(*out);
  cancel.cancel();
  executor_.run_until_idle();
  ASSERT_TRUE(*out);
  EXPECT_EQ((*out)->status().code(), Code::kCancelled);
  EXPECT_EQ(executor_.next_timer(), INT64_MAX);
}

TEST_F(TestToolsTest, LargeAndFailDoWhatTheySay) {
  EXPECT_EQ(call("test.large", R"({"bytes": 100000})", "k").size(), 100'000u);
  EXPECT_EQ(call("test.fail", R"({"message": "sorry"})", "k"), "sorry");
  EXPECT_EQ((*begin("test.fail", R"({"kind": "status"})", "k"))->status().code(), Code::kInternal);
}

}  // namespace
}  // namespace palyra::testtools
