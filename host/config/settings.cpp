// SPDX-License-Identifier: Apache-2.0
#include "host/config/settings.h"

#include "host/config/edit_distance.h"
#include "host/config/schema.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace palyra::host {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 4> kHostSections = {"daemon", "log", "plugins", "services"};

// The host's sections are described as a plugin's are, so that their errors read the same.
const json& host_schema() {
  static const json schema = json::parse(R"({
    "type": "object",
    "properties": {
      "daemon": {
        "type": "object", "additionalProperties": false,
        "properties": {
          "state_dir": {"type": "string", "minLength": 1},
          "plugin_path": {"type": "array", "items": {"type": "string", "minLength": 1}},
          "pool_threads": {"type": "integer", "minimum": 0, "maximum": 256, "default": 0},
          "drain_seconds": {"type": "integer", "minimum": 0, "maximum": 3600, "default": 30},
          "step_timeout_ms": {"type": "integer", "minimum": 10, "maximum": 600000,
                              "default": 10000}
        }
      },
      "log": {
        "type": "object", "additionalProperties": false,
        "properties": {
          "level": {"enum": ["trace", "debug", "info", "warn", "error"], "default": "info"},
          "format": {"enum": ["text", "json"], "default": "text"},
          "file": {"type": "string", "minLength": 1}
        }
      },
      "services": {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
      "plugins": {
        "type": "object",
        "additionalProperties": {
          "type": "object", "additionalProperties": false, "required": ["use"],
          "properties": {
            "use": {"type": "string", "minLength": 1},
            "enabled": {"type": "boolean", "default": true},
            "isolation": {"enum": ["in_process", "process"]},
            "path": {"type": "string", "minLength": 1},
            "grant": {
              "type": "object", "additionalProperties": false,
              "properties": {
                "provides": {"type": "array", "items": {"type": "string"}},
                "requires": {"type": "array", "items": {"type": "string"}}
              }
            },
            "config": {"type": "object"}
          }
        }
      }
    }
  })");
  return schema;
}

bool is_instance_name(std::string_view name) {
  if (name.empty() || name.size() > 63 || name.front() == '-') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

std::string text_at(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

int64_t number_at(const json& object, const char* name, int64_t otherwise) {
  const auto it = object.find(name);
  return it != object.end() && it->is_number_integer() ? it->get<int64_t>() : otherwise;
}

const json& table_at(const json& root, const char* name) {
  static const json empty = json::object();
  const auto it = root.find(name);
  return it != root.end() && it->is_object() ? *it : empty;
}

InstanceSettings read_instance(const std::string& name, const json& table,
                               const std::filesystem::path& base) {
  InstanceSettings instance;
  instance.name = name;
  instance.use = text_at(table, "use");
  instance.isolation = text_at(table, "isolation");
  if (const auto path = text_at(table, "path"); !path.empty()) {
    instance.path = (base / path).lexically_normal();
  }
  if (const auto it = table.find("enabled"); it != table.end() && it->is_boolean()) {
    instance.enabled = it->get<bool>();
  }
  if (const auto it = table.find("grant"); it != table.end() && it->is_object()) {
    instance.grant = *it;
  }
  return instance;
}

}  // namespace

Settings read_settings(const Document& document, const Surroundings& around,
                       std::vector<Problem>& problems) {
  json host = json::object();
  for (const auto section : kHostSections) {
    if (const auto it = document.root.find(section); it != document.root.end()) {
      host[std::string(section)] = *it;
    }
  }
  for (auto& finding : apply_schema(host_schema(), host)) {
    problems.push_back(
        document.problem(finding.pointer, dotted(finding.pointer) + ": " + finding.message));
  }

  Settings settings;
  std::error_code ignored;
  settings.config_file = std::filesystem::absolute(document.file, ignored);
  const auto base = settings.config_file.parent_path();

  const json& daemon = table_at(host, "daemon");
  const auto state = text_at(daemon, "state_dir");
  settings.state_dir = state.empty() ? default_state_dir(around.environment, around.is_root)
                                     : (base / state).lexically_normal();
  if (const auto it = daemon.find("plugin_path"); it != daemon.end() && it->is_array()) {
    for (const auto& path : *it) {
      if (path.is_string()) {
        settings.plugin_path.push_back((base / path.get<std::string>()).lexically_normal());
      }
    }
  } else {
    settings.plugin_path.push_back(
        (around.executable.parent_path() / "../lib/palyra/plugins").lexically_normal());
  }
  settings.pool_threads = static_cast<unsigned>(number_at(daemon, "pool_threads", 0));
  settings.drain = std::chrono::seconds(number_at(daemon, "drain_seconds", 30));
  settings.step_timeout = std::chrono::milliseconds(number_at(daemon, "step_timeout_ms", 10'000));

  const json& log = table_at(host, "log");
  if (const auto level = text_at(log, "level"); !level.empty()) settings.log.level = level;
  if (const auto format = text_at(log, "format"); !format.empty()) settings.log.format = format;
  if (const auto file = text_at(log, "file"); !file.empty()) {
    settings.log.file = (base / file).lexically_normal();
  }

  const json& plugins = table_at(host, "plugins");
  std::vector<std::string> names;
  for (auto it = plugins.begin(); it != plugins.end(); ++it) {
    const std::string pointer = join_pointer("/plugins", it.key());
    if (!is_instance_name(it.key())) {
      problems.push_back(document.problem(
          pointer, dotted(pointer) + ": an instance is named with 1 to 63 of a-z, 0-9, '-', '_'"));
      continue;
    }
    if (!it->is_object()) continue;
    settings.instances.push_back(read_instance(it.key(), *it, base));
    names.push_back(it.key());
  }

  const json& services = table_at(host, "services");
  for (auto it = services.begin(); it != services.end(); ++it) {
    if (!it->is_string()) continue;
    const auto instance = it->get<std::string>();
    if (std::find(names.begin(), names.end(), instance) == names.end()) {
      const std::string pointer = join_pointer("/services", it.key());
      problems.push_back(document.problem(pointer, dotted(pointer) + ": there is no [plugins." +
                                                       instance + "]" +
                                                       suggestion(instance, names)));
    }
    settings.services.emplace(it.key(), instance);
  }
  return settings;
}

std::vector<std::string> foreign_sections(const Document& document) {
  std::vector<std::string> names;
  for (auto it = document.root.begin(); it != document.root.end(); ++it) {
    if (std::find(kHostSections.begin(), kHostSections.end(), it.key()) == kHostSections.end()) {
      names.push_back(it.key());
    }
  }
  return names;
}

void check_sections(const Document& document, const std::vector<std::string>& claimed,
                    std::vector<Problem>& problems) {
  std::vector<std::string> known(kHostSections.begin(), kHostSections.end());
  known.insert(known.end(), claimed.begin(), claimed.end());
  for (const auto& section : foreign_sections(document)) {
    if (std::find(claimed.begin(), claimed.end(), section) != claimed.end()) continue;
    const std::string pointer = join_pointer("", section);
    problems.push_back(document.problem(
        pointer, "[" + section + "]: no plugin that was found claims this section" +
                     suggestion(section, known)));
  }
}

}  // namespace palyra::host
