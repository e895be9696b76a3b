// SPDX-License-Identifier: Apache-2.0
#include "tests/keyed_tool/testtools.h"

#include "tests/keyed_tool/effect_log.h"

#include <algorithm>
#include <functional>

namespace palyra::testtools {
namespace {

using service::v1::InvokeResult;

struct Description {
  const char* name;
  const char* text;
  const char* schema;
  common::v1::EffectClass effect;
};

service::v1::ToolInfo describe(const Description& description) {
  const bool writes = description.effect != common::v1::EFFECT_CLASS_NONE;
  service::v1::ToolInfo info;
  info.set_name(description.name);
  info.set_description(description.text);
  info.set_input_schema_json(description.schema);
  info.set_effect(description.effect);
  info.set_access(writes ? service::v1::TOOL_ACCESS_WRITE : service::v1::TOOL_ACCESS_READ);
  info.set_parallel_safe(true);
  info.set_provenance(common::v1::PROVENANCE_OPERATOR);
  return info;
}

constexpr const char* kEffectSchema = R"({
  "type": "object",
  "properties": {
    "value": {"type": "string", "maxLength": 200},
    "delay_ms": {"type": "integer", "minimum": 0, "maximum": 600000}
  },
  "additionalProperties": false
})";

constexpr Description kKeyed{"test.keyed", "Has one effect per idempotency key.", kEffectSchema,
                             common::v1::EFFECT_CLASS_KEYED};
constexpr Description kOpaque{"test.opaque", "Has an effect in every execution.", kEffectSchema,
                              common::v1::EFFECT_CLASS_OPAQUE};
constexpr Description kSlow{"test.slow", "Answers after delay_ms.", R"({
  "type": "object",
  "properties": {"delay_ms": {"type": "integer", "minimum": 0, "maximum": 600000}}})",
                            common::v1::EFFECT_CLASS_NONE};
constexpr Description kLarge{"test.large", "Answers with that many bytes.", R"({
  "type": "object",
  "properties": {"bytes": {"type": "integer", "minimum": 0, "maximum": 67108864}},
  "required": ["bytes"]})",
                             common::v1::EFFECT_CLASS_NONE};
constexpr Description kFail{"test.fail", "Fails.", R"({
  "type": "object",
  "properties": {"kind": {"enum": ["result", "status"]}, "message": {"type": "string"}}})",
                            common::v1::EFFECT_CLASS_NONE};

class TestTool : public tool::Tool {
 public:
  TestTool(const Description& description, const Clock& clock, Executor& executor)
      : description_(description), clock_(clock), executor_(executor) {}
  service::v1::ToolInfo info() const override { return describe(description_); }

 protected:
  // False if the call was cancelled meanwhile.
  Task<bool> delay(const tool::Call& call) {
    const auto ms = call.arguments.value("delay_ms", int64_t{0});
    if (ms == 0) co_return !call.cancel.cancelled();
    Slot<bool> slot;
    const TimerId timer =
        executor_.post_at(clock_.mono_now() + ms * kNanosPerMilli, [slot] { slot.set(true); });
    call.cancel.on_cancel([slot] { slot.set(false); });
    const bool waited = co_await slot;
    if (!waited) executor_.cancel(timer);
    co_return waited;
  }
  static Status cancelled() { return {Code::kCancelled, "the call was cancelled"}; }

  const Description& description_;
  const Clock& clock_;
  Executor& executor_;
};

// test.keyed and test.opaque.
class EffectTool : public TestTool {
 public:
  EffectTool(const Description& description, const Clock& clock, Executor& executor,
             std::string directory)
      : TestTool(description, clock, executor), directory_(std::move(directory)) {}

  Task<Result<InvokeResult>> invoke(tool::Call call) override {
    if (call.idempotency_key.empty() ||
        call.idempotency_key.find_first_of(" \n") != std::string::npos) {
      co_return Status(Code::kInvalidArgument, "an idempotency key is needed");
    }
    std::string value = call.arguments.value("value", std::string("-"));
    std::replace(value.begin(), value.end(), '\n', ' ');
    const std::string attempt = call.idempotency_key + " " + call.run_id + " " +
                                std::to_string(call.attempt) + " " + description_.name;
    auto begin = [path = directory_ + "/attempts.log", attempt] {
      return append_line(path, attempt);
    };
    auto begun = tool::run_blocking(executor_, std::move(begin));
    const Status status = co_await std::move(begun);
    if (!status.ok()) co_return status;
    auto wait = delay(call);
    if (!co_await std::move(wait)) co_return cancelled();
    const bool keyed = description_.effect == common::v1::EFFECT_CLASS_KEYED;
    auto effect = [directory = directory_, keyed, key = call.idempotency_key,
                   rest = call.run_id + " " + value]() -> Result<nlohmann::json> {
      if (!keyed) {
        Status added = append_line(directory + "/opaque.log", key + " " + rest);
        if (!added.ok()) return added;
        return nlohmann::json{{"done", true}};
      }
      auto outcome = append_once(directory + "/keyed.log", key, rest);
      if (!outcome.ok()) return outcome.status();
      return nlohmann::json{{"effects", outcome->effects}, {"first", outcome->first}};
    };
    auto acted = tool::run_blocking(executor_, std::move(effect));
    const Result<nlohmann::json> result = co_await std::move(acted);
    if (!result.ok()) co_return result.status();
    co_return tool::json_result(*result);
  }

 private:
  const std::string directory_;
};

class SlowTool : public TestTool {
 public:
  using TestTool::TestTool;
  Task<Result<InvokeResult>> invoke(tool::Call call) override {
    auto wait = delay(call);
    if (!co_await std::move(wait)) co_return cancelled();
    InvokeResult result;
    result.set_content("done");
    co_return result;
  }
};

class LargeTool : public TestTool {
 public:
  using TestTool::TestTool;
  Task<Result<InvokeResult>> invoke(tool::Call call) override {
    InvokeResult result;
    result.set_content(std::string(call.arguments["bytes"].get<size_t>(), 'x'));
    co_return result;
  }
};

class FailTool : public TestTool {
 public:
  using TestTool::TestTool;
  Task<Result<InvokeResult>> invoke(tool::Call call) override {
    const auto message = call.arguments.value("message", std::string("as asked"));
    if (call.arguments.value("kind", std::string("result")) == "status") {
      co_return Status(Code::kInternal, message);
    }
    co_return tool::problem(message);
  }
};

}  // namespace

std::vector<std::shared_ptr<tool::Tool>> make_tools(const Clock& clock, Executor& executor,
                                                    std::string directory) {
  return {std::make_shared<EffectTool>(kKeyed, clock, executor, directory),
          std::make_shared<EffectTool>(kOpaque, clock, executor, directory),
          std::make_shared<SlowTool>(kSlow, clock, executor),
          std::make_shared<LargeTool>(kLarge, clock, executor),
          std::make_shared<FailTool>(kFail, clock, executor)};
}

}  // namespace palyra::testtools
