// SPDX-License-Identifier: Apache-2.0
#include "host/config/effective.h"

#include "host/config/schema.h"

namespace palyra::host {
namespace {

// Which of two roots a pointer of the merged value came from: the instance's if it has the key.
class Origin {
 public:
  Origin(const Document& document, std::string section, std::string own)
      : document_(document), section_(std::move(section)), own_(std::move(own)) {}

  std::string locate(const std::string& pointer) const {
    if (section_.empty() || exists(own_ + pointer)) return own_ + pointer;
    return section_ + pointer;
  }

 private:
  bool exists(const std::string& pointer) const {
    return document_.root.contains(nlohmann::json::json_pointer(pointer));
  }

  const Document& document_;
  std::string section_;
  std::string own_;
};

}  // namespace

void deep_merge(nlohmann::json& base, const nlohmann::json& over) {
  if (!base.is_object() || !over.is_object()) {
    base = over;
    return;
  }
  for (auto it = over.begin(); it != over.end(); ++it) deep_merge(base[it.key()], it.value());
}

EffectiveConfig effective_config(const Document& document, const std::string& instance,
                                 const std::string& section, const nlohmann::json& schema) {
  EffectiveConfig out;
  const std::string own = join_pointer("/plugins", instance) + "/config";
  const std::string shared = section.empty() ? "" : join_pointer("", section);
  if (!section.empty()) {
    if (const auto it = document.root.find(section); it != document.root.end()) {
      if (it->is_object()) {
        out.value = *it;
      } else {
        out.problems.push_back(document.problem(shared, section + ": must be a table"));
      }
    }
  }
  const nlohmann::json::json_pointer own_pointer(own);
  if (document.root.contains(own_pointer) && document.root.at(own_pointer).is_object()) {
    deep_merge(out.value, document.root.at(own_pointer));
  }
  if (!schema.is_null()) {
    const Origin origin(document, shared, own);
    for (auto& finding : apply_schema(schema, out.value)) {
      const std::string pointer = origin.locate(finding.pointer);
      out.problems.push_back(document.problem(pointer, dotted(pointer) + ": " + finding.message));
    }
  }
  out.shown = schema.is_null() ? out.value : without_secrets(schema, out.value);
  return out;
}

}  // namespace palyra::host
