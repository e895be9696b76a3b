// SPDX-License-Identifier: Apache-2.0
// A plugin's manifest as a value. The keys are described in palyra/abi.h.
#pragma once

#include "palyra/status.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace palyra::host {

struct ServiceNeed {
  std::string id;
  bool optional = false;
};

struct Manifest {
  std::string id;
  std::string version;
  std::string vendor;
  unsigned abi_major = 0;
  unsigned abi_minor = 0;
  std::vector<std::string> provides;
  std::vector<ServiceNeed> requires_;
  bool parallel = false;             // concurrency "any"
  std::string isolation = "either";  // either in_process process
  std::string section;               // empty = none
  nlohmann::json config;             // JSON Schema, or null

  bool offers(std::string_view service) const;
  // Shipped with Palyra, by its id.
  bool first_party() const { return id.starts_with("dev.palyra."); }
};

// Errors: INVALID_ARGUMENT, naming the key.
Result<Manifest> parse_manifest(const std::string& text);

// Negative, 0, positive as `a` is lower than, equal to, higher than `b`: numbers by value, a
// version with a suffix ("1.2.0-rc1") below the one without.
int compare_versions(std::string_view a, std::string_view b);

}  // namespace palyra::host
