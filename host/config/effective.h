// SPDX-License-Identifier: Apache-2.0
// What one instance gets as its configuration: the section its plugin claims, overlaid with
// [plugins.NAME.config], defaults filled in, checked against the plugin's schema.
#pragma once

#include "host/config/document.h"

#include <string>
#include <vector>

namespace palyra::host {

struct EffectiveConfig {
  nlohmann::json value = nlohmann::json::object();
  nlohmann::json shown;  // the same without any literal secret
  std::vector<Problem> problems;
};

// `section` may be empty (the plugin claims none); a null `schema` takes anything.
EffectiveConfig effective_config(const Document& document, const std::string& instance,
                                 const std::string& section, const nlohmann::json& schema);

// Tables merge, everything else in `over` replaces what is in `base`.
void deep_merge(nlohmann::json& base, const nlohmann::json& over);

}  // namespace palyra::host
