// SPDX-License-Identifier: Apache-2.0
#include "plugins/common/json_schema/json_text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>

namespace palyra::json_schema {
namespace {

// Brackets outside strings. Exact for valid JSON; for anything else the parser complains later.
size_t nesting(std::string_view text) {
  size_t depth = 0;
  size_t deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<nlohmann::json> parse_json(std::string_view text, std::string_view what, Limits limits) {
  const std::string subject(what);
  if (text.size() > limits.max_bytes) {
    return Status(Code::kResourceExhausted,
                  subject + ": " + std::to_string(text.size()) + " bytes of JSON, the limit is " +
                      std::to_string(limits.max_bytes),
                  PALYRA_ERROR_USER_FAULT);
  }
  if (nesting(text) > limits.max_depth) {
    return Status(
        Code::kResourceExhausted,
        subject + ": JSON nested deeper than " + std::to_string(limits.max_depth) + " levels",
        PALYRA_ERROR_USER_FAULT);
  }
  try {
    return nlohmann::json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::parse_error& error) {
    // The library's own sentence quotes the text, which may hold a secret.
    return Status(Code::kInvalidArgument,
                  subject + ": not valid JSON at byte " + std::to_string(error.byte),
                  PALYRA_ERROR_USER_FAULT);
  } catch (const nlohmann::json::exception&) {
    return Status(Code::kInvalidArgument, subject + ": a number in the JSON is out of range",
                  PALYRA_ERROR_USER_FAULT);
  }
}

}  // namespace palyra::json_schema
