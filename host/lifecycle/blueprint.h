// SPDX-License-Identifier: Apache-2.0
// What the configuration and the files found come to, decided before any plugin code runs. --check
// prints it, the supervisor executes it.
#pragma once

#include "host/config/document.h"
#include "host/config/settings.h"
#include "host/loader/catalogue.h"

#include <string>
#include <vector>

namespace palyra::host {

// One [plugins.NAME], judged.
struct Candidate {
  InstanceSettings settings;
  bool found = false;  // `plugin` is set
  FoundPlugin plugin;
  std::string config;               // what init gets, JSON
  nlohmann::json shown;             // the same for people: no literal secret
  std::vector<std::string> faults;  // why it is quarantined, a sentence each; empty = may start

  bool may_start() const { return settings.enabled && faults.empty(); }
};

struct Blueprint {
  std::vector<Problem> problems;      // of the file: nothing is started
  std::vector<std::string> warnings;  // of the plugin path
  std::vector<Candidate> candidates;  // by name
  std::string hub;                    // the instance that provides the registry; empty = none
  std::vector<std::string> order;     // of the others that may start

  Candidate* find(const std::string& name);
  const Candidate* find(const std::string& name) const;
};

Blueprint make_blueprint(const Document& document, const Settings& settings);

}  // namespace palyra::host
