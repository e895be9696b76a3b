#include "clients/cli/settings.h"

#include <toml++/toml.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
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

// A path in palyra.toml, made absolute against its folder; empty if it is not set or the file
// cannot be parsed.
std::string configured_path(const GlobalOptions& options, const char* section, const char* key) {
  const std::string config = find_config(options);
  if (config.empty()) return "";
  try {
    const toml::table table = toml::parse_file(config);
    const auto set = table[section][key].value<std::string>();
    if (!set || set->empty()) return "";
    return (fs::absolute(config).parent_path() / *set).lexically_normal();
  } catch (const toml::parse_error&) {
    return "";
  }
}

}  // namespace

std::string default_state_dir() {
  if (environment("XDG_STATE_HOME").empty() && geteuid() == 0) return "/var/lib/palyra";
  return xdg("XDG_STATE_HOME", ".local/state") / "palyra";
}

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

std::string config_problem(const GlobalOptions& options) {
  const std::string config = find_config(options);
  if (config.empty()) return "";
  std::ifstream file(config);
  if (!file) {
    return config + " cannot be read: " + std::strerror(errno) +
           "; name another with --config or make one with: palyra setup";
  }
  try {
    const toml::table table = toml::parse(file, config);
  } catch (const toml::parse_error& error) {
    const auto& begin = error.source().begin;
    return config + ":" + std::to_string(begin.line) + ":" + std::to_string(begin.column) + ": " +
           std::string(error.description()) + "; correct it, then: palyra config check";
  }
  return "";
}

std::string find_state_dir(const GlobalOptions& options) {
  if (!options.state_dir.empty()) return fs::absolute(options.state_dir).lexically_normal();
  const std::string set = configured_path(options, "daemon", "state_dir");
  return set.empty() ? default_state_dir() : set;
}

StorePlaces find_store(const GlobalOptions& options) {
  std::string instance = "journal";
  StorePlaces places;
  toml::table table;
  try {
    if (const std::string config = find_config(options); !config.empty()) {
      table = toml::parse_file(config);
    }
  } catch (const toml::parse_error&) {
    // config_problem() says what is wrong.
  }
  if (const toml::table* plugins = table["plugins"].as_table()) {
    for (const auto& [name, plugin] : *plugins) {
      const toml::table* const keys = plugin.as_table();
      if (keys == nullptr || (*keys)["use"].value<std::string>() != "dev.palyra.journal") continue;
      instance = std::string(name.str());
      break;
    }
  }
  // The instance's own settings go before those of the section.
  const auto read = [&](const char* key, std::string fallback) {
    for (const auto& set : {table["plugins"][instance]["config"][key].value<std::string>(),
                            table["storage"][key].value<std::string>()}) {
      if (set && !set->empty()) return *set;
    }
    return fallback;
  };
  places.store = read("path", find_state_dir(options) + "/" + instance + "/journal.sqlite");
  const std::string folder = fs::path(places.store).parent_path();
  places.backups = read("backup_dir", folder + "/backups");
  places.archive = read("archive_dir", folder + "/archive");
  places.segments = read("segments_dir", folder + "/segments");
  return places;
}

std::string find_log(const GlobalOptions& options) {
  const std::string set = configured_path(options, "log", "file");
  return set.empty() ? collected_log(find_state_dir(options)) : set;
}

bool is_loopback_endpoint(const std::string& endpoint) {
  const std::string host = endpoint.substr(0, endpoint.rfind(':'));
  return host == "localhost" || host == "[::1]" ||
         (host.rfind("127.", 0) == 0 && host.find_first_not_of("0123456789.") == std::string::npos);
}

std::string endpoint_file(const std::string& state_dir) { return state_dir + "/gateway/endpoint"; }
std::string token_file(const std::string& state_dir) { return state_dir + "/gateway/owner.token"; }
std::string pid_file(const std::string& state_dir) { return state_dir + "/palyrad.pid"; }
std::string collected_log(const std::string& state_dir) { return state_dir + "/palyrad.log"; }

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
