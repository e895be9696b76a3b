// SPDX-License-Identifier: Apache-2.0
#include "plugins/common/json_schema/schema_errors.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <regex>

namespace palyra::json_schema {
namespace {

using nlohmann::json;

Status refused(const std::string& message) {
  return {Code::kInvalidArgument, message, PALYRA_ERROR_USER_FAULT};
}

// Subschemas of `node` that apply to the same value as `node` itself.
std::vector<const json*> in_place(const json& root, const json& node) {
  std::vector<const json*> next;
  if (!node.is_object()) return next;
  if (auto ref = node.find("$ref"); ref != node.end() && ref->is_string()) {
    if (const json* target = resolve(root, ref->get<std::string>())) next.push_back(target);
  }
  for (const char* key : {"allOf", "anyOf", "oneOf", "type", "extends", "disallow"}) {
    const auto list = node.find(key);
    if (list == node.end()) continue;
    if (list->is_array()) {
      for (const json& child : *list) {
        if (child.is_object()) next.push_back(&child);
      }
    } else if (list->is_object()) {
      next.push_back(&*list);
    }
  }
  for (const char* key : {"not", "if", "then", "else"}) {
    if (auto child = node.find(key); child != node.end()) next.push_back(&*child);
  }
  for (const char* key : {"dependencies", "dependentSchemas"}) {
    const auto map = node.find(key);
    if (map == node.end() || !map->is_object()) continue;
    for (const auto& entry : map->items()) {
      if (entry.value().is_object()) next.push_back(&entry.value());
    }
  }
  return next;
}

class Checker {
 public:
  explicit Checker(const json& root) : root_(root) {}

  // Every object in the document, schema or not: a stray "$ref" inside "default" is refused too,
  // which costs nothing real.
  Status walk(const json& node) {
    if (node.is_object()) {
      if (Status status = check_reference(node); !status.ok()) return status;
      if (Status status = check_patterns(node); !status.ok()) return status;
      if (endless(node)) return refused("the schema refers to itself without end");
    }
    if (node.is_structured()) {
      for (const json& child : node) {
        if (Status status = walk(child); !status.ok()) return status;
      }
    }
    return {};
  }
  bool has_patterns() const { return has_patterns_; }

 private:
  Status check_reference(const json& node) {
    const auto ref = node.find("$ref");
    if (ref == node.end() || !ref->is_string()) return {};
    const auto& text = ref->get_ref<const std::string&>();
    if (text.empty() || text[0] != '#') {
      return refused("the schema refers to \"" + text +
                     "\" outside itself; only references that begin with # are followed");
    }
    if (resolve(root_, text) == nullptr) {
      return refused("the schema refers to \"" + text + "\", which it does not contain");
    }
    return {};
  }

  Status check_patterns(const json& node) {
    if (auto pattern = node.find("pattern"); pattern != node.end() && pattern->is_string()) {
      if (Status status = compile(pattern->get<std::string>()); !status.ok()) return status;
    }
    if (auto map = node.find("patternProperties"); map != node.end() && map->is_object()) {
      for (const auto& entry : map->items()) {
        if (Status status = compile(entry.key()); !status.ok()) return status;
      }
    }
    return {};
  }

  Status compile(const std::string& pattern) {
    has_patterns_ = true;
    if (pattern.size() > 512) return refused("a pattern of the schema is longer than 512 bytes");
    try {
      std::regex compiled(pattern, std::regex::ECMAScript);
    } catch (const std::regex_error&) {
      return refused("the schema's pattern \"" + pattern + "\" is not a regular expression");
    }
    return {};
  }

  // Depth-first over in-place edges; a node met again on its own path never ends.
  bool endless(const json& node) {
    auto [entry, fresh] = colour_.try_emplace(&node, Colour::kOnPath);
    if (!fresh) return entry->second == Colour::kOnPath;
    for (const json* next : in_place(root_, node)) {
      if (endless(*next)) return true;
    }
    colour_[&node] = Colour::kDone;
    return false;
  }

  enum class Colour { kOnPath, kDone };
  const json& root_;
  std::map<const json*, Colour> colour_;
  bool has_patterns_ = false;
};

// "string", or "string or null"; empty if the node does not say.
std::string expected_type(const json& node) {
  const auto type = node.find("type");
  if (type == node.end()) return "";
  if (type->is_string()) return type->get<std::string>();
  std::string text;
  if (type->is_array()) {
    for (const json& one : *type) {
      if (one.is_string()) text += (text.empty() ? "" : " or ") + one.get<std::string>();
    }
  }
  return text;
}

std::string type_of(const json& value) {
  if (value.is_number_integer()) return "integer";
  return value.type_name();
}

// The schema of the value at `path`, as far as properties and items tell; null where it is unclear.
const json* schema_at(const json& root, const std::vector<std::string>& path) {
  const json* node = &root;
  const auto follow = [&root](const json* at) {
    for (int hops = 0; at != nullptr && at->is_object() && hops < 16; ++hops) {
      const auto ref = at->find("$ref");
      if (ref == at->end() || !ref->is_string()) break;
      at = resolve(root, ref->get<std::string>());
    }
    return at;
  };
  for (const std::string& step : path) {
    node = follow(node);
    if (node == nullptr || !node->is_object()) return nullptr;
    const json* next = nullptr;
    if (auto members = node->find("properties"); members != node->end() && members->is_object()) {
      if (auto member = members->find(step); member != members->end()) next = &*member;
    }
    if (next == nullptr) {
      for (const char* key : {"items", "additionalProperties"}) {
        if (auto child = node->find(key); child != node->end() && child->is_object()) {
          next = &*child;
          break;
        }
      }
    }
    if (next == nullptr) return nullptr;
    node = next;
  }
  node = follow(node);
  return node != nullptr && node->is_object() ? node : nullptr;
}

const json* value_at(const json& document, const std::vector<std::string>& path) {
  const json* value = &document;
  for (const std::string& step : path) {
    if (value->is_object()) {
      const auto member = value->find(step);
      if (member == value->end()) return nullptr;
      value = &*member;
    } else if (value->is_array()) {
      const size_t index = std::strtoul(step.c_str(), nullptr, 10);
      if (index >= value->size()) return nullptr;
      value = &(*value)[index];
    } else {
      return nullptr;
    }
  }
  return value;
}

// The figure or text of a keyword, shortened.
std::string keyword(const json& node, const char* key) {
  const auto value = node.find(key);
  if (value == node.end()) return "";
  return value->dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 200);
}

std::string list_of(const json& values) {
  std::string text;
  for (const json& value : values) {
    const std::string one = value.dump(-1, ' ', false, json::error_handler_t::replace);
    if (text.size() + one.size() > 300) return text + ", ...";
    text += (text.empty() ? "" : ", ") + one;
  }
  return text;
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

// The words for an object member that the schema does not know.
std::string unknown_member(const json& node, const json& value) {
  const auto members = node.find("properties");
  std::string known;
  std::string unknown;
  if (members != node.end() && members->is_object()) {
    for (const auto& entry : members->items()) {
      if (known.size() < 300) known += (known.empty() ? "" : ", ") + entry.key();
    }
  }
  for (const auto& entry : value.items()) {
    if (members == node.end() || !members->contains(entry.key())) {
      unknown = entry.key().substr(0, 64);
      break;
    }
  }
  if (unknown.empty()) return "";
  return "unknown property '" + unknown + "'" +
         (known.empty() ? ", none is expected" : "; known are " + known);
}

}  // namespace

const json* resolve(const json& root, const std::string& reference) {
  if (reference.empty() || reference[0] != '#') return nullptr;
  if (reference == "#" || reference == "#/") return &root;
  try {
    const json::json_pointer pointer(reference.substr(1));
    return root.contains(pointer) ? &root.at(pointer) : nullptr;
  } catch (const json::exception&) {
    return nullptr;
  }
}

Status check_schema(const json& schema, bool& has_patterns) {
  Checker checker(schema);
  Status status = checker.walk(schema);
  has_patterns = checker.has_patterns();
  return status;
}

std::string pointer_text(const std::vector<std::string>& path) {
  if (path.empty()) return "the root";
  std::string text;
  for (const std::string& step : path) {
    text += '/';
    for (const char c : step.substr(0, 128)) {
      if (c == '~') {
        text += "~0";
      } else if (c == '/') {
        text += "~1";
      } else {
        text += c;
      }
    }
  }
  return text;
}

std::string describe(const json& schema, const json& document, const std::vector<std::string>& path,
                     const std::string& detail) {
  const std::string place = pointer_text(path) + ": ";
  const json* node = schema_at(schema, path);
  const json* value = value_at(document, path);
  if (has(detail, "Missing required property")) {
    return place + "m" + detail.substr(1, detail.find_last_not_of('.'));
  }
  if (node == nullptr || value == nullptr) return place + detail;
  if (has(detail, "'type' constraint")) {
    if (const std::string type = expected_type(*node); !type.empty()) {
      return place + "expected " + type + ", got " + type_of(*value);
    }
  } else if (has(detail, "enum values") && node->contains("enum")) {
    return place + "expected one of " + list_of(node->at("enum"));
  } else if (has(detail, "'const' constraint") && node->contains("const")) {
    return place + "expected " + keyword(*node, "const");
  } else if (has(detail, "'additionalProperties' constraints") && value->is_object()) {
    if (std::string text = unknown_member(*node, *value); !text.empty()) return place + text;
  } else if (has(detail, "'pattern' constraint") && node->contains("pattern")) {
    return place + "expected a string that matches " + keyword(*node, "pattern");
  } else if (has(detail, "Expected number less than") && node->contains("maximum")) {
    return place + "expected at most " + keyword(*node, "maximum");
  } else if (has(detail, "Expected number greater than") && node->contains("minimum")) {
    return place + "expected at least " + keyword(*node, "minimum");
  }
  return place + detail;
}

}  // namespace palyra::json_schema
