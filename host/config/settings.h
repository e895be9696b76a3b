// SPDX-License-Identifier: Apache-2.0
// The host's own sections of palyra.toml: [daemon] [plugins] [services] [log].
#pragma once

#include "host/config/document.h"
#include "host/config/search_path.h"

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace palyra::host {

struct LogSettings {
  std::string level = "info";   // trace debug info warn error
  std::string format = "text";  // text json
  std::filesystem::path file;   // empty = stderr
};

// One [plugins.NAME].
struct InstanceSettings {
  std::string name;
  std::string use;  // plugin id
  bool enabled = true;
  std::string isolation;       // "", "in_process" or "process"
  std::filesystem::path path;  // a plugin file outside plugin_path; empty = by id
  nlohmann::json grant;        // null, or {"provides": [...], "requires": [...]}
};

struct Settings {
  std::filesystem::path config_file;
  std::filesystem::path state_dir;
  std::vector<std::filesystem::path> plugin_path;
  unsigned pool_threads = 0;  // 0 = one for each processor, at least 2
  std::chrono::milliseconds drain{30'000};
  std::chrono::milliseconds step_timeout{10'000};
  LogSettings log;
  std::vector<InstanceSettings> instances;      // by name
  std::map<std::string, std::string> services;  // service id -> instance
};

// The world around the file, for defaults.
struct Surroundings {
  Environment environment;
  std::filesystem::path executable;  // of palyrad
  bool is_root = false;
};

// Reads the host's sections. Every error is added to `problems`, and what could be read is
// returned.
Settings read_settings(const Document& document, const Surroundings& around,
                       std::vector<Problem>& problems);

// Top-level sections that are not the host's, in order of their names.
std::vector<std::string> foreign_sections(const Document& document);

// Every foreign section that no plugin in `claimed` claims, with the nearest name.
void check_sections(const Document& document, const std::vector<std::string>& claimed,
                    std::vector<Problem>& problems);

}  // namespace palyra::host
