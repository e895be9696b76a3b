// SPDX-License-Identifier: Apache-2.0
// A value against a JSON Schema, with findings a person can act on.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace palyra::host {

struct Finding {
  std::string pointer;  // of the offending key, relative to the value
  std::string message;  // never contains the value of a secret
};

// Checks `value` and fills in the "default"s of missing properties. Unknown keys come with the
// nearest valid one; a property with "x-palyra-secret": true takes only env:, file: and vault:
// references. References ("$ref") are followed inside the schema only.
std::vector<Finding> apply_schema(const nlohmann::json& schema, nlohmann::json& value);

// True for "env:NAME", "file:PATH" and "vault:PATH".
bool is_secret_reference(const nlohmann::json& value);

// `value` with everything at a secret property that is not a reference, and everything at a key
// that the schema does not know, replaced by "<refused>".
nlohmann::json without_secrets(const nlohmann::json& schema, nlohmann::json value);

// What apply_schema leaves to a full JSON Schema implementation (conditionals, dependencies, ...).
std::vector<Finding> check_remaining_keywords(const nlohmann::json& schema,
                                              const nlohmann::json& value);

}  // namespace palyra::host
