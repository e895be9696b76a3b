#include "plugins/gateway/policy/arguments.h"

#include <set>
#include <string>
#include <vector>

namespace palyra::gateway::policy {
namespace {

constexpr int kDeepest = 64;

}  // namespace

std::optional<nlohmann::json> read_arguments(std::string_view json) {
  using Event = nlohmann::json::parse_event_t;
  std::vector<std::set<std::string>> keys;
  bool ambiguous = false;
  const auto watch = [&](int depth, Event event, nlohmann::json& value) {
    if (depth > kDeepest) ambiguous = true;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end && !keys.empty()) keys.pop_back();
    if (event == Event::key && !keys.empty()) {
      if (!keys.back().insert(value.get<std::string>()).second) ambiguous = true;
    }
    // Nothing is kept of what will be refused, so that its depth costs nothing.
    return !ambiguous;
  };
  auto parsed = nlohmann::json::parse(json, watch, false);
  if (ambiguous || parsed.is_discarded()) return std::nullopt;
  return parsed;
}

}  // namespace palyra::gateway::policy
