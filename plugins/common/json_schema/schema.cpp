// SPDX-License-Identifier: Apache-2.0
// The only file that includes valijson: it is slow to compile.
#include "plugins/common/json_schema/schema.h"

#include "plugins/common/json_schema/schema_errors.h"
#include "plugins/common/utf8/utf8.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>
#pragma GCC diagnostic pop

namespace palyra::json_schema {
namespace {

using nlohmann::json;
using Adapter = valijson::adapters::NlohmannJsonAdapter;

constexpr Limits kSchemaLimits{size_t{256} << 10, 64};
constexpr size_t kMaxProblems = 3;
// std::regex recurses once per character.
constexpr size_t kMaxMatched = 4096;

Status invalid(const std::string& message) {
  return {Code::kInvalidArgument, message, PALYRA_ERROR_USER_FAULT};
}

// "<root>", "[files]", "[0]" -> "files", "0".
std::vector<std::string> path_of(const std::vector<std::string>& context) {
  std::vector<std::string> path;
  for (size_t i = 1; i < context.size(); ++i) {
    const std::string& step = context[i];
    path.push_back(step.size() >= 2 ? step.substr(1, step.size() - 2) : step);
  }
  return path;
}

// Says only that something below failed.
bool is_wrapper(const std::string& detail) { return detail.rfind("Failed to validate", 0) == 0; }

bool has_long_string(const json& value, size_t limit) {
  if (value.is_string()) return value.get_ref<const std::string&>().size() > limit;
  if (!value.is_structured()) return false;
  for (const auto& entry : value.items()) {
    if (value.is_object() && entry.key().size() > limit) return true;
    if (has_long_string(entry.value(), limit)) return true;
  }
  return false;
}

bool too_deep(const json& value, size_t left) {
  if (!value.is_structured()) return false;
  if (left == 0) return true;
  return std::any_of(value.begin(), value.end(),
                     [left](const json& child) { return too_deep(child, left - 1); });
}

bool has_long_key(const json& value) {
  if (!value.is_structured()) return false;
  for (const auto& entry : value.items()) {
    if (value.is_object() && entry.key().size() > kMaxMatched) return true;
    if (has_long_key(entry.value())) return true;
  }
  return false;
}

// "pattern" becomes a limit of the length.
void bound_patterns(json& node) {
  if (!node.is_structured()) return;
  if (auto pattern = node.is_object() ? node.find("pattern") : node.end();
      pattern != node.end() && pattern->is_string()) {
    node.erase(pattern);
    json& limit = node["maxLength"];
    if (!limit.is_number_unsigned() || limit > kMaxMatched) limit = kMaxMatched;
  }
  for (json& child : node) bound_patterns(child);
}

// Under these a limit instead of a pattern would change the verdict.
bool has_negation(const json& node) {
  if (!node.is_structured()) return false;
  if (node.is_object() && (node.contains("not") || node.contains("oneOf") || node.contains("if"))) {
    return true;
  }
  return std::any_of(node.begin(), node.end(), has_negation);
}

void cut_strings(json& value) {
  if (value.is_string()) {
    auto& text = value.get_ref<std::string&>();
    if (text.size() <= kMaxMatched) return;
    text.resize(utf8::prefix(text, kMaxMatched).size());
  } else if (value.is_structured()) {
    for (json& child : value) cut_strings(child);
  }
}

void populate(valijson::Schema& schema, const json& source) {
  valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
  parser.populateSchema(Adapter(source), schema);
}

// Empty if `document` fits; `source` explains `schema`.
std::vector<std::string> problems_of(const valijson::Schema& schema, const json& source,
                                     const json& document) {
  valijson::ValidationResults results;
  valijson::Validator validator;
  if (validator.validate(schema, Adapter(document), &results)) return {};
  std::vector<std::string> problems;
  for (const bool wrappers : {false, true}) {
    for (const auto& error : results) {
      if (is_wrapper(error.description) != wrappers) continue;
      std::string text = describe(source, document, path_of(error.context), error.description);
      if (std::find(problems.begin(), problems.end(), text) == problems.end()) {
        problems.push_back(std::move(text));
      }
    }
    if (!problems.empty()) return problems;
  }
  return {"the document does not fit the schema"};
}

}  // namespace

struct Schema::Parsed {
  json source;
  valijson::Schema schema;
  // Patterns replaced by a limit of the length; judges documents with long strings before `schema`
  // sees them shortened. Null: no patterns, or their verdict cannot be split.
  std::unique_ptr<valijson::Schema> bounded;
  bool has_patterns = false;
};

Result<Schema> Schema::parse(std::string_view text) {
  auto parsed = std::make_shared<Parsed>();
  Result<json> source = parse_json(text.empty() ? "{}" : text, "the schema", kSchemaLimits);
  if (!source.ok()) return source.status();
  if (!source->is_object()) return invalid("the schema: expected a JSON object");
  parsed->source = std::move(*source);
  if (Status status = check_schema(parsed->source, parsed->has_patterns); !status.ok()) {
    return status;
  }
  try {
    populate(parsed->schema, parsed->source);
    if (parsed->has_patterns && !has_negation(parsed->source)) {
      json source_without = parsed->source;
      bound_patterns(source_without);
      parsed->bounded = std::make_unique<valijson::Schema>();
      populate(*parsed->bounded, source_without);
    }
  } catch (const std::exception& error) {
    return invalid(std::string("the schema: ") + error.what());
  }
  return Schema(std::move(parsed));
}

Status Schema::validate(std::string_view json_text, Limits limits) const {
  Result<json> document = parse_json(json_text, "the document", limits);
  if (!document.ok()) return document.status();
  return validate_value(*document);
}

Status Schema::validate_value(const json& document) const {
  if (too_deep(document, Limits{}.max_depth)) {
    return {Code::kResourceExhausted, "the document: JSON nested deeper than 128 levels",
            PALYRA_ERROR_USER_FAULT};
  }
  std::vector<std::string> problems;
  try {
    if (!parsed_->has_patterns || !has_long_string(document, kMaxMatched)) {
      problems = problems_of(parsed_->schema, parsed_->source, document);
    } else if (!parsed_->bounded || has_long_key(document)) {
      problems = {"a string of over " + std::to_string(kMaxMatched) +
                  " bytes cannot be judged by this schema's patterns"};
    } else {
      problems = problems_of(*parsed_->bounded, parsed_->source, document);
      if (problems.empty()) {
        json shortened = document;
        cut_strings(shortened);
        problems = problems_of(parsed_->schema, parsed_->source, shortened);
      }
    }
  } catch (const std::exception& error) {
    return {Code::kInternal, std::string("the schema cannot be applied: ") + error.what()};
  }
  if (problems.empty()) return {};
  std::string message;
  for (size_t i = 0; i < problems.size() && i < kMaxProblems; ++i) {
    message += (i == 0 ? "" : "; ") + problems[i];
  }
  if (problems.size() > kMaxProblems) {
    message += "; and " + std::to_string(problems.size() - kMaxProblems) + " more";
  }
  return invalid(message);
}

}  // namespace palyra::json_schema
