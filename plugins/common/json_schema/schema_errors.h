// SPDX-License-Identifier: Apache-2.0
// What can be said about a schema without validating: where its references lead, and the sentence
// for a place where a document does not fit.
#pragma once

#include "palyra/status.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace palyra::json_schema {

// Refuses remote, dangling and endless references, and patterns that do not compile. Sets
// `has_patterns`.
Status check_schema(const nlohmann::json& schema, bool& has_patterns);

// The schema node that `pointer` ("#/definitions/x") names, or null.
const nlohmann::json* resolve(const nlohmann::json& root, const std::string& reference);

// One problem: `path` are member names and indexes from the root, `detail` the validator's words.
std::string describe(const nlohmann::json& schema, const nlohmann::json& document,
                     const std::vector<std::string>& path, const std::string& detail);

// RFC 6901; "" becomes "the root".
std::string pointer_text(const std::vector<std::string>& path);

}  // namespace palyra::json_schema
