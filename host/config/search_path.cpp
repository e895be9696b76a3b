// SPDX-License-Identifier: Apache-2.0
#include "host/config/search_path.h"

#include <cstdlib>

namespace palyra::host {
namespace {

// An absolute directory from the environment, or nothing: the XDG rules ignore relative ones.
std::optional<std::filesystem::path> directory(const Environment& environment, const char* name) {
  const auto value = environment(name);
  if (!value || value->empty() || value->front() != '/') return std::nullopt;
  return std::filesystem::path(*value);
}

}  // namespace

Environment process_environment() {
  return [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

std::vector<std::filesystem::path> config_candidates(const Environment& environment) {
  if (const auto named = environment("PALYRA_CONFIG"); named && !named->empty()) return {*named};
  std::vector<std::filesystem::path> candidates;
  if (const auto xdg = directory(environment, "XDG_CONFIG_HOME")) {
    candidates.push_back(*xdg / "palyra/palyra.toml");
  } else if (const auto home = directory(environment, "HOME")) {
    candidates.push_back(*home / ".config/palyra/palyra.toml");
  }
  candidates.emplace_back("/etc/palyra/palyra.toml");
  return candidates;
}

std::filesystem::path default_state_dir(const Environment& environment, bool is_root) {
  if (const auto xdg = directory(environment, "XDG_STATE_HOME")) return *xdg / "palyra";
  if (!is_root) {
    if (const auto home = directory(environment, "HOME")) return *home / ".local/state/palyra";
  }
  return "/var/lib/palyra";
}

}  // namespace palyra::host
