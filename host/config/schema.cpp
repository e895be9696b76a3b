// SPDX-License-Identifier: Apache-2.0
#include "host/config/schema.h"

#include "host/config/edit_distance.h"
#include "host/config/source_map.h"

#include <algorithm>
#include <regex>
#include <string_view>

namespace palyra::host {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;

const json* member(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(name);
  return it == object.end() ? nullptr : &*it;
}

bool flag(const json& schema, const char* name) {
  const json* value = member(schema, name);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

const char* type_of(const json& value) {
  if (value.is_object()) return "a table";
  if (value.is_array()) return "an array";
  if (value.is_string()) return "a string";
  if (value.is_boolean()) return "a boolean";
  if (value.is_number_integer()) return "an integer";
  if (value.is_number()) return "a number";
  return "nothing";
}

std::string type_words(const std::string& type) {
  if (type == "object") return "a table";
  if (type == "array") return "an array";
  if (type == "integer") return "an integer";
  if (type == "null") return "nothing";
  return "a " + type;
}

bool has_type(const json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "null") return value.is_null();
  return true;
}

size_t code_points(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

class Checker {
 public:
  explicit Checker(const json& root) : root_(root) {}

  std::vector<Finding> findings;

  void check(const json& unresolved, json& value, const std::string& pointer, int depth) {
    if (depth > kMaxDepth) return report(pointer, "is nested too deeply");
    const json& schema = resolve(unresolved);
    if (schema.is_boolean()) {
      if (!schema.get<bool>()) report(pointer, "is not allowed here");
      return;
    }
    if (!schema.is_object()) return;
    if (flag(schema, "x-palyra-secret")) return check_secret(value, pointer);
    if (!check_type(schema, value, pointer)) return;
    check_enum(schema, value, pointer);
    if (value.is_number()) check_number(schema, value, pointer);
    if (value.is_string()) check_string(schema, value, pointer);
    if (value.is_array()) check_array(schema, value, pointer, depth);
    if (value.is_object()) check_object(schema, value, pointer, depth);
    check_combinations(schema, value, pointer, depth);
  }

  const json& resolve(const json& schema) const {
    const json* at = &schema;
    for (int hops = 0; hops < kMaxDepth; ++hops) {
      const json* reference = member(*at, "$ref");
      if (reference == nullptr || !reference->is_string()) return *at;
      const auto& text = reference->get_ref<const std::string&>();
      if (!text.starts_with("#")) return *at;
      try {
        at = &root_.at(json::json_pointer(text.substr(1)));
      } catch (const json::exception&) {
        return *at;
      }
    }
    return *at;
  }

 private:
  void report(const std::string& pointer, std::string message) {
    findings.push_back({pointer, std::move(message)});
  }

  void check_secret(const json& value, const std::string& pointer) {
    if (is_secret_reference(value)) return;
    report(pointer,
           "is a secret and must not stand in the file; put it into an environment variable or a "
           "file and write \"env:NAME\" or \"file:PATH\" here");
  }

  bool check_type(const json& schema, json& value, const std::string& pointer) {
    const json* type = member(schema, "type");
    if (type == nullptr) return true;
    std::vector<std::string> allowed;
    if (type->is_string()) allowed.push_back(type->get<std::string>());
    if (type->is_array()) {
      for (const auto& name : *type) {
        if (name.is_string()) allowed.push_back(name.get<std::string>());
      }
    }
    std::string words;
    for (const auto& name : allowed) {
      if (has_type(value, name)) return true;
      if (!words.empty()) words += " or ";
      words += type_words(name);
    }
    if (words.empty()) return true;
    report(pointer, "must be " + words + ", not " + type_of(value));
    return false;
  }

  void check_enum(const json& schema, const json& value, const std::string& pointer) {
    if (const json* fixed = member(schema, "const"); fixed != nullptr && *fixed != value) {
      report(pointer, "must be " + fixed->dump());
    }
    const json* allowed = member(schema, "enum");
    if (allowed == nullptr || !allowed->is_array()) return;
    std::vector<std::string> names;
    std::string list;
    for (const auto& one : *allowed) {
      if (one == value) return;
      if (one.is_string()) names.push_back(one.get<std::string>());
      if (!list.empty()) list += ", ";
      list += one.dump();
    }
    std::string message = "must be one of " + list;
    if (value.is_string()) {
      if (const auto near = nearest(value.get_ref<const std::string&>(), names); !near.empty()) {
        message += "; did you mean '" + near + "'?";
      }
    }
    report(pointer, std::move(message));
  }

  void check_number(const json& schema, const json& value, const std::string& pointer) {
    const double number = value.get<double>();
    const json* low = member(schema, "minimum");
    const json* high = member(schema, "maximum");
    const json* above = member(schema, "exclusiveMinimum");
    const json* below = member(schema, "exclusiveMaximum");
    const bool bad = (low != nullptr && low->is_number() && number < low->get<double>()) ||
                     (high != nullptr && high->is_number() && number > high->get<double>()) ||
                     (above != nullptr && above->is_number() && number <= above->get<double>()) ||
                     (below != nullptr && below->is_number() && number >= below->get<double>());
    if (!bad) return;
    std::string range;
    const auto add = [&range](const char* words, const json* bound) {
      if (bound == nullptr || !bound->is_number()) return;
      if (!range.empty()) range += " and ";
      range += words + bound->dump();
    };
    add("at least ", low);
    add("at most ", high);
    add("more than ", above);
    add("less than ", below);
    report(pointer, "must be " + range + ", not " + value.dump());
  }

  void check_string(const json& schema, const json& value, const std::string& pointer) {
    const auto& text = value.get_ref<const std::string&>();
    if (const json* low = member(schema, "minLength");
        low != nullptr && low->is_number_unsigned() && code_points(text) < low->get<size_t>()) {
      report(pointer, text.empty() ? std::string("must not be empty")
                                   : "must have at least " + low->dump() + " characters");
    }
    if (const json* high = member(schema, "maxLength");
        high != nullptr && high->is_number_unsigned() && code_points(text) > high->get<size_t>()) {
      report(pointer, "must have at most " + high->dump() + " characters");
    }
    const json* pattern = member(schema, "pattern");
    if (pattern == nullptr || !pattern->is_string()) return;
    constexpr size_t kLongestMatched = 4096;  // std::regex recurses once a character
    const auto& expression = pattern->get_ref<const std::string&>();
    try {
      if (text.size() <= kLongestMatched && std::regex_search(text, std::regex(expression))) return;
    } catch (const std::regex_error&) {
      return;  // the schema's fault, not the operator's
    }
    report(pointer, "does not have the form " + expression);
  }

  void check_array(const json& schema, json& value, const std::string& pointer, int depth) {
    if (const json* low = member(schema, "minItems");
        low != nullptr && low->is_number_unsigned() && value.size() < low->get<size_t>()) {
      report(pointer, "must have at least " + low->dump() + " elements");
    }
    if (const json* high = member(schema, "maxItems");
        high != nullptr && high->is_number_unsigned() && value.size() > high->get<size_t>()) {
      report(pointer, "must have at most " + high->dump() + " elements");
    }
    const json* items = member(schema, "items");
    if (items == nullptr || items->is_array()) return;
    for (size_t i = 0; i < value.size(); ++i) {
      check(*items, value[i], pointer + '/' + std::to_string(i), depth + 1);
    }
  }

  void check_object(const json& schema, json& value, const std::string& pointer, int depth) {
    const json* properties = member(schema, "properties");
    fill_defaults(properties, value);
    if (const json* required = member(schema, "required");
        required != nullptr && required->is_array()) {
      for (const auto& name : *required) {
        if (name.is_string() && !value.contains(name.get_ref<const std::string&>())) {
          report(pointer, "'" + name.get<std::string>() + "' is missing");
        }
      }
    }
    const json* patterns = member(schema, "patternProperties");
    const json* other = member(schema, "additionalProperties");
    for (auto it = value.begin(); it != value.end(); ++it) {
      const std::string child = join_pointer(pointer, it.key());
      if (properties != nullptr && properties->is_object() && properties->contains(it.key())) {
        check((*properties)[it.key()], it.value(), child, depth + 1);
        continue;
      }
      if (const json* matched = match(patterns, it.key()); matched != nullptr) {
        check(*matched, it.value(), child, depth + 1);
        continue;
      }
      if (other == nullptr) continue;
      if (other->is_boolean() && !other->get<bool>()) {
        std::vector<std::string> known;
        if (properties != nullptr && properties->is_object()) {
          for (auto name = properties->begin(); name != properties->end(); ++name) {
            known.push_back(name.key());
          }
        }
        report(child, "unknown key" + suggestion(it.key(), known));
        continue;
      }
      check(*other, it.value(), child, depth + 1);
    }
  }

  // The first "patternProperties" schema that `key` matches, or null.
  static const json* match(const json* patterns, const std::string& key) {
    if (patterns == nullptr || !patterns->is_object()) return nullptr;
    for (auto it = patterns->begin(); it != patterns->end(); ++it) {
      try {
        if (std::regex_search(key, std::regex(it.key()))) return &it.value();
      } catch (const std::regex_error&) {
        continue;
      }
    }
    return nullptr;
  }

  // A table without a default of its own is made if something below has one, so that a plugin sees
  // its whole configuration.
  void fill_defaults(const json* properties, json& value) {
    if (properties == nullptr || !properties->is_object()) return;
    for (auto it = properties->begin(); it != properties->end(); ++it) {
      if (value.contains(it.key())) continue;
      if (auto filled = default_of(it.value(), 0); !filled.is_discarded()) {
        value[it.key()] = std::move(filled);
      }
    }
  }

  json default_of(const json& unresolved, int depth) const {
    const json& schema = resolve(unresolved);
    if (const json* own = member(schema, "default"); own != nullptr) return *own;
    const json* properties = member(schema, "properties");
    const json* required = member(schema, "required");
    if (properties == nullptr || !properties->is_object() || depth > kMaxDepth) {
      return json(json::value_t::discarded);
    }
    // A table with required keys is not made up.
    if (required != nullptr && !required->empty()) return json(json::value_t::discarded);
    auto object = json::object();
    for (auto it = properties->begin(); it != properties->end(); ++it) {
      if (auto filled = default_of(it.value(), depth + 1); !filled.is_discarded()) {
        object[it.key()] = std::move(filled);
      }
    }
    return object.empty() ? json(json::value_t::discarded) : object;
  }

  void check_combinations(const json& schema, json& value, const std::string& pointer, int depth) {
    if (const json* all = member(schema, "allOf"); all != nullptr && all->is_array()) {
      for (const auto& part : *all) check(part, value, pointer, depth + 1);
    }
    for (const char* keyword : {"anyOf", "oneOf"}) {
      const json* choices = member(schema, keyword);
      if (choices == nullptr || !choices->is_array()) continue;
      // The findings of the choice that comes closest are the most useful ones.
      std::vector<Finding> closest;
      bool found = choices->empty();
      for (const auto& choice : *choices) {
        Checker trial(root_);
        json copy = value;
        trial.check(choice, copy, pointer, depth + 1);
        if (trial.findings.empty()) {
          value = std::move(copy);
          found = true;
          break;
        }
        if (closest.empty() || trial.findings.size() < closest.size()) {
          closest = std::move(trial.findings);
        }
      }
      if (!found) findings.insert(findings.end(), closest.begin(), closest.end());
    }
  }

  const json& root_;
};

void strip(const Checker& resolver, const json& unresolved, json& value, int depth) {
  const json& schema = resolver.resolve(unresolved);
  if (depth > kMaxDepth || !schema.is_object()) return;
  if (flag(schema, "x-palyra-secret")) {
    if (!is_secret_reference(value)) value = "<refused>";
    return;
  }
  for (const char* keyword : {"allOf", "anyOf", "oneOf"}) {
    if (const json* parts = member(schema, keyword); parts != nullptr && parts->is_array()) {
      for (const auto& part : *parts) strip(resolver, part, value, depth + 1);
    }
  }
  if (value.is_array()) {
    if (const json* items = member(schema, "items"); items != nullptr) {
      for (auto& item : value) strip(resolver, *items, item, depth + 1);
    }
  }
  if (!value.is_object()) return;
  const json* properties = member(schema, "properties");
  const json* other = member(schema, "additionalProperties");
  for (auto it = value.begin(); it != value.end(); ++it) {
    if (properties != nullptr && properties->contains(it.key())) {
      strip(resolver, (*properties)[it.key()], it.value(), depth + 1);
    } else if (other != nullptr && other->is_object()) {
      strip(resolver, *other, it.value(), depth + 1);
    } else if (other != nullptr && other->is_boolean() && !other->get<bool>()) {
      it.value() = "<refused>";  // a misspelt key may hold a secret
    }
  }
}

}  // namespace

bool is_secret_reference(const json& value) {
  if (!value.is_string()) return false;
  const std::string_view text = value.get_ref<const std::string&>();
  for (const std::string_view scheme : {"env:", "file:", "vault:"}) {
    if (text.starts_with(scheme) && text.size() > scheme.size()) return true;
  }
  return false;
}

std::vector<Finding> apply_schema(const json& schema, json& value) {
  Checker checker(schema);
  checker.check(schema, value, "", 0);
  if (checker.findings.empty()) return check_remaining_keywords(schema, value);
  return std::move(checker.findings);
}

json without_secrets(const json& schema, json value) {
  strip(Checker(schema), schema, value, 0);
  return value;
}

}  // namespace palyra::host
