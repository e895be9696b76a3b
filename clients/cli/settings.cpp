#include "clients/cli/settings.h"

#include <toml++/toml.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

namespace palyra::cli {

namespace fs = std::filesystem;

namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// $XDG_..._HOME, or its default below $HOME.
fs::path xdg(const char* variable, const char* below_home) {
  if (const std::string set = environment(variable); !set.empty()) return set;
  const std::string home = environment("HOME");
  return fs::path(home.empty() ? "/root" : home) / below_home;
}

std::string default_state_dir() {
  if (environment("XDG_STATE_HOME").empty() && geteuid() == 0) return "/var/lib/palyra";
  return xdg("XDG_STATE_HOME", ".local/state") / "palyra";
}

}  // namespace

std::string default_config_path() {
  return xdg("XDG_CONFIG_HOME", ".config") / "palyra/palyra.toml";
}

std::string find_config(const GlobalOptions& options) {
  if (!options.config.empty()) return options.config;
  if (const std::string set = environment("PALYRA_CONFIG"); !set.empty()) return set;
  for (const std::string& path : {default_config_path(), std::string("/etc/palyra/palyra.toml")}) {
    std::error_code ignored;
    if (fs::exists(path, ignored)) return path;
  }
  return "";
}

std::string find_state_dir(const GlobalOptions& options) {
  if (!options.state_dir.empty()) return options.state_dir;
  if (const std::string config = find_config(options); !config.empty()) {
    // A file that cannot be read or parsed is the daemon's to complain about; here the default
    // serves.
    try {
      const toml::table table = toml::parse_file(config);
      if (const auto set = table["daemon"]["state_dir"].value<std::string>();
          set && !set->empty()) {
        return (fs::absolute(config).parent_path() / *set).lexically_normal();
      }
    } catch (const toml::parse_error&) {
    }
  }
  return default_state_dir();
}

std::string endpoint_file(const std::string& state_dir) { return state_dir + "/gateway/endpoint"; }
std::string token_file(const std::string& state_dir) { return state_dir + "/gateway/owner.token"; }
std::string pid_file(const std::string& state_dir) { return state_dir + "/palyrad.pid"; }
std::string log_file(const std::string& state_dir) { return state_dir + "/palyrad.log"; }

std::optional<std::string> read_small_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  std::string content = text.str();
  while (!content.empty() && (content.back() == '\n' || content.back() == '\r')) content.pop_back();
  return content;
}

}  // namespace palyra::cli
