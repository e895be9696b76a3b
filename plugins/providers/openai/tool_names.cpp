#include "plugins/providers/openai/tool_names.h"

namespace palyra::openai {
namespace {
constexpr size_t kMaxMappedName = 64;
}  // namespace

const std::string& ToolNames::to_api(const std::string& name) {
  if (const auto found = to_api_.find(name); found != to_api_.end()) return found->second;
  std::string base = name.substr(0, kMaxMappedName);
  for (char& c : base) {
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!allowed) c = '_';
  }
  if (base.empty()) base = "_";
  std::string mapped = base;
  for (int n = 2; from_api_.count(mapped) != 0; ++n) {
    const std::string suffix = "_" + std::to_string(n);
    mapped = base.substr(0, kMaxMappedName - suffix.size()) + suffix;
  }
  from_api_[mapped] = name;
  return to_api_[name] = mapped;
}

std::string ToolNames::from_api(const std::string& name) const {
  const auto found = from_api_.find(name);
  return found == from_api_.end() ? name : found->second;
}

}  // namespace palyra::openai
