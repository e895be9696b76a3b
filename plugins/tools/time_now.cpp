// SPDX-License-Identifier: Apache-2.0
#include "plugins/tools/tools.h"

#include <ctime>

namespace palyra::tools {
namespace {

class TimeNow : public tool::Tool {
 public:
  explicit TimeNow(const Clock& clock) : clock_(clock) {}

  service::v1::ToolInfo info() const override {
    service::v1::ToolInfo info;
    info.set_name("time.now");
    info.set_description("The current date and time in UTC, with the day of the week.");
    info.set_input_schema_json(R"({"type": "object", "properties": {}})");
    info.set_effect(common::v1::EFFECT_CLASS_NONE);
    info.set_access(service::v1::TOOL_ACCESS_READ);
    info.set_parallel_safe(true);
    info.set_timeout_ms(1'000);
    info.set_provenance(common::v1::PROVENANCE_OPERATOR);
    return info;
  }

  Task<Result<service::v1::InvokeResult>> invoke(tool::Call /*call*/) override {
    const int64_t seconds = clock_.wall_now() / kNanosPerSecond;
    const auto time = static_cast<std::time_t>(seconds);
    std::tm parts{};
    if (gmtime_r(&time, &parts) == nullptr) {
      co_return Status(Code::kOutOfRange, "the machine's clock is out of range; set it");
    }
    char iso[32];
    std::strftime(iso, sizeof iso, "%Y-%m-%dT%H:%M:%SZ", &parts);
    static constexpr const char* kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                            "Thursday", "Friday", "Saturday"};
    co_return tool::json_result(
        {{"utc", iso}, {"weekday", kDays[parts.tm_wday]}, {"unix_seconds", seconds}});
  }

 private:
  const Clock& clock_;
};

}  // namespace

std::shared_ptr<tool::Tool> make_time_now(const Clock& clock) {
  return std::make_shared<TimeNow>(clock);
}

}  // namespace palyra::tools
