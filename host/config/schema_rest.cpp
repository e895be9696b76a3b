// SPDX-License-Identifier: Apache-2.0
// The one file that pays for a full JSON Schema implementation.
#include "host/config/schema.h"
#include "host/config/source_map.h"

#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include <algorithm>
#include <iterator>

namespace palyra::host {
namespace {

using nlohmann::json;

// Keywords that apply_schema does in full: a schema of only these needs no second opinion.
constexpr const char* kDone[] = {"type",
                                 "enum",
                                 "const",
                                 "minimum",
                                 "maximum",
                                 "exclusiveMinimum",
                                 "minLength",
                                 "maxLength",
                                 "exclusiveMaximum",
                                 "pattern",
                                 "minItems",
                                 "maxItems",
                                 "items",
                                 "properties",
                                 "additionalProperties",
                                 "required",
                                 "default",
                                 "description",
                                 "title",
                                 "$schema",
                                 "$id",
                                 "examples",
                                 "anyOf",
                                 "allOf",
                                 "$ref",
                                 "$defs",
                                 "definitions",
                                 "patternProperties"};

bool needs_more(const json& schema, int depth) {
  if (!schema.is_object() || depth > 64) return false;
  for (auto it = schema.begin(); it != schema.end(); ++it) {
    const std::string& key = it.key();
    if (key.starts_with("x-")) continue;
    if (std::find(std::begin(kDone), std::end(kDone), key) == std::end(kDone)) return true;
    if (key == "properties" || key == "patternProperties" || key == "$defs" ||
        key == "definitions") {
      for (const auto& child : it.value()) {
        if (needs_more(child, depth + 1)) return true;
      }
    } else if (key == "anyOf" || key == "allOf") {
      for (const auto& child : it.value()) {
        if (needs_more(child, depth + 1)) return true;
      }
    } else if (key == "items" || key == "additionalProperties") {
      if (it.value().is_array() || needs_more(it.value(), depth + 1)) return true;
    }
  }
  return false;
}

// valijson names a place as "<root>", "[key]", "[0]".
std::string pointer_of(const std::vector<std::string>& context) {
  std::string pointer;
  for (size_t i = 1; i < context.size(); ++i) {
    std::string_view part = context[i];
    if (part.starts_with("[") && part.ends_with("]")) part = part.substr(1, part.size() - 2);
    pointer = join_pointer(pointer, part);
  }
  return pointer;
}

}  // namespace

std::vector<Finding> check_remaining_keywords(const json& schema, const json& value) {
  std::vector<Finding> findings;
  if (!needs_more(schema, 0)) return findings;
  try {
    valijson::Schema compiled;
    valijson::SchemaParser parser;
    const valijson::adapters::NlohmannJsonAdapter schema_adapter(schema);
    parser.populateSchema(schema_adapter, compiled);
    valijson::Validator validator;
    valijson::ValidationResults results;
    const valijson::adapters::NlohmannJsonAdapter value_adapter(value);
    if (!validator.validate(compiled, value_adapter, &results)) {
      valijson::ValidationResults::Error error;
      while (results.popError(error)) {
        findings.push_back({pointer_of(error.context), error.description});
      }
    }
  } catch (const std::exception& error) {
    findings.push_back({"", std::string("the plugin's schema cannot be used: ") + error.what()});
  }
  return findings;
}

}  // namespace palyra::host
