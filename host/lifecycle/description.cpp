// SPDX-License-Identifier: Apache-2.0
// The documents of palyra.daemon/1.
#include "host/facilities/buffers.h"
#include "host/lifecycle/supervisor.h"

#include <sys/statvfs.h>

namespace palyra::host {

using nlohmann::json;

// Reads a supervisor's immutable parts and, under its lock, the instances' states.
struct Description {
  const Supervisor& of;

  json plugins() const {
    auto list = json::array();
    const std::lock_guard lock(of.mutex_);
    for (const auto& candidate : of.blueprint_.candidates) {
      const auto& manifest = candidate.plugin.manifest;
      const auto& status = of.statuses_.at(candidate.settings.name);
      list.push_back({{"instance", candidate.settings.name},
                      {"id", candidate.settings.use},
                      {"version", manifest.version},
                      {"vendor", manifest.vendor},
                      {"path", candidate.plugin.path.string()},
                      {"state", status.state},
                      {"reason", status.reason},
                      {"isolation", "in_process"},
                      {"provides", manifest.provides},
                      {"concurrency", manifest.parallel ? "any" : "lane"}});
    }
    return list;
  }

  json config() const {
    const auto& settings = of.settings_;
    auto paths = json::array();
    for (const auto& path : settings.plugin_path) paths.push_back(path.string());
    json out = {{"files", json::array({settings.config_file.string()})},
                {"daemon",
                 {{"state_dir", settings.state_dir.string()},
                  {"plugin_path", std::move(paths)},
                  {"pool_threads", settings.pool_threads},
                  {"drain_seconds", settings.drain.count() / 1000},
                  {"step_timeout_ms", settings.step_timeout.count()}}},
                {"log",
                 {{"level", settings.log.level},
                  {"format", settings.log.format},
                  {"file", settings.log.file.string()}}},
                {"services", settings.services},
                {"plugins", json::object()}};
    for (const auto& candidate : of.blueprint_.candidates) {
      const auto& instance = candidate.settings;
      json entry = {{"use", instance.use},
                    {"enabled", instance.enabled},
                    {"isolation", instance.isolation.empty() ? "in_process" : instance.isolation},
                    {"config", candidate.shown}};
      if (!instance.grant.is_null()) entry["grant"] = instance.grant;
      out["plugins"][instance.name] = std::move(entry);
    }
    return out;
  }

  json paths() const {
    auto plugins = json::array();
    for (const auto& path : of.settings_.plugin_path) plugins.push_back(path.string());
    return {{"config", of.settings_.config_file.string()},
            {"state_dir", of.settings_.state_dir.string()},
            {"log", of.settings_.log.file.empty() ? "stderr" : of.settings_.log.file.string()},
            {"plugins", std::move(plugins)}};
  }

  json checks() const {
    auto list = json::array();
    const auto add = [&list](std::string name, const char* status, std::string message,
                             std::string fix) {
      list.push_back({{"name", std::move(name)},
                      {"status", status},
                      {"message", std::move(message)},
                      {"fix", std::move(fix)}});
    };
    add("host.config", "ok", "configuration read from " + of.settings_.config_file.string(), "");
    {
      const std::lock_guard lock(of.mutex_);
      for (const auto& [name, status] : of.statuses_) {
        if (status.state != "quarantined") continue;
        add("host.plugin." + name, "fail",
            "instance '" + name + "' is quarantined: " + status.reason,
            "correct what it says, check with palyra config check, and restart palyrad");
      }
    }
    for (const auto& warning : of.blueprint_.warnings) {
      add("host.plugin_path", "warn", warning, "remove the file or correct daemon.plugin_path");
    }
    struct statvfs space = {};
    if (statvfs(of.settings_.state_dir.c_str(), &space) == 0) {
      constexpr uint64_t kLow = uint64_t{512} << 20;
      const uint64_t left = uint64_t{space.f_bavail} * space.f_frsize;
      const std::string size =
          std::to_string(left >> 20) + " MiB are free in " + of.settings_.state_dir.string();
      add("host.disk", left < kLow ? "warn" : "ok", size,
          left < kLow ? "free some space: the journal needs room to commit" : "");
    }
    return list;
  }

  json metrics() const {
    json list = of.shared_.metrics.snapshot();
    list.push_back({{"name", "palyra_host_buffers"},
                    {"kind", "gauge"},
                    {"help", "Buffers that exist"},
                    {"labels", json::object()},
                    {"value", live_buffers()}});
    return list;
  }
};

Result<std::string> Supervisor::describe(std::string_view what) const {
  const Description description{*this};
  json document;
  if (what == "plugins") {
    document = description.plugins();
  } else if (what == "config") {
    document = description.config();
  } else if (what == "paths") {
    document = description.paths();
  } else if (what == "checks") {
    document = description.checks();
  } else if (what == "metrics") {
    document = description.metrics();
  } else {
    return Status(Code::kNotFound, "palyra.daemon/1 has no document '" + std::string(what) + "'");
  }
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace palyra::host
