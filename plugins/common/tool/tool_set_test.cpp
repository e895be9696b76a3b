// SPDX-License-Identifier: Apache-2.0
#include "plugins/common/tool/tool_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace palyra::tool {
namespace {

using testing::HasSubstr;

class Doubler : public Tool {
 public:
  explicit Doubler(std::string name = "double", std::string schema = R"({
      "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})")
      : name_(std::move(name)), schema_(std::move(schema)) {}
  service::v1::ToolInfo info() const override {
    service::v1::ToolInfo info;
    info.set_name(name_);
    info.set_input_schema_json(schema_);
    return info;
  }
  Task<Result<service::v1::InvokeResult>> invoke(Call call) override {
    const int64_t n = call.arguments["n"];
    if (n == 0) co_return problem("zero has no double worth having");
    if (n < 0) co_return Status(Code::kUnavailable, "the doubling server is down");
    co_return json_result({{"n", 2 * n}, {"run", call.run_id}});
  }

 private:
  std::string name_, schema_;
};

Result<service::v1::InvokeResult> invoke(const ToolSet& set, std::string name,
                                         std::string arguments) {
  service::v1::InvokeRequest request;
  request.set_name(std::move(name));
  request.set_arguments_json(std::move(arguments));
  request.mutable_context()->set_run_id("01RUN");
  std::optional<Result<service::v1::InvokeResult>> out;
  spawn([](const ToolSet& tools, service::v1::InvokeRequest r,
           std::optional<Result<service::v1::InvokeResult>>& result) -> Task<void> {
    result = co_await tools.invoke(std::move(r), {});
  }(set, std::move(request), out));
  return std::move(*out);
}

ToolSet doublers() { return *ToolSet::create({std::make_shared<Doubler>()}); }

TEST(ToolSetTest, HandsValidArgumentsToTheTool) {
  const auto result = invoke(doublers(), "double", R"({"n": 21})");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->content(), R"({"n":42,"run":"01RUN"})");
}

TEST(ToolSetTest, BadArgumentsGoBackToTheModelAndNeverReachTheTool) {
  const ToolSet set = doublers();
  for (const char* text : {"", "{}", R"({"n": "x"})", "[]", "nonsense", R"({"n": 1.5})"}) {
    const auto result = invoke(set, "double", text);
    ASSERT_TRUE(result.ok()) << text;
    EXPECT_TRUE(result->is_error()) << text;
    EXPECT_THAT(result->content(), HasSubstr("the arguments: ")) << text;
  }
}

TEST(ToolSetTest, ProblemsAreResultsAndFailuresAreStatuses) {
  const ToolSet set = doublers();
  const auto soft = invoke(set, "double", R"({"n": 0})");
  ASSERT_TRUE(soft.ok());
  EXPECT_TRUE(soft->is_error());
  EXPECT_EQ(invoke(set, "double", R"({"n": -1})").status().code(), Code::kUnavailable);
  EXPECT_EQ(invoke(set, "triple", "{}").status().code(), Code::kNotFound);
}

TEST(ToolSetTest, RefusesBadNamesSchemasAndDoubles) {
  const auto refused = [](std::vector<std::shared_ptr<Tool>> tools, const char* why) {
    const auto set = ToolSet::create(std::move(tools));
    ASSERT_FALSE(set.ok());
    EXPECT_THAT(set.status().message(), HasSubstr(why));
  };
  refused({std::make_shared<Doubler>("No Good")}, "the name must be");
  refused({std::make_shared<Doubler>("a", "{")}, "not valid JSON");
  refused({std::make_shared<Doubler>(), std::make_shared<Doubler>()}, "used twice");
}

}  // namespace
}  // namespace palyra::tool
