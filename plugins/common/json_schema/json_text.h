// SPDX-License-Identifier: Apache-2.0
// JSON from people and models: size and depth are judged before anything recursive sees it.
#pragma once

#include "palyra/status.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <string_view>

namespace palyra::json_schema {

struct Limits {
  size_t max_bytes = size_t{4} << 20;
  // Arrays and objects inside each other; a flat object has depth 1.
  size_t max_depth = 128;
};

// The value of `text`. `what` begins the error sentence ("the arguments of fs.read").
// INVALID_ARGUMENT with the byte at which it stops being JSON (or UTF-8); RESOURCE_EXHAUSTED beyond
// a limit. Errors never quote the text. [any]
Result<nlohmann::json> parse_json(std::string_view text, std::string_view what, Limits limits = {});

}  // namespace palyra::json_schema
