// Merges the tools of several instances into one catalogue. Pure.
#pragma once

#include "plugins/gateway/ports/ports.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace palyra::gateway {

// What one instance answered to List.
struct InstanceTools {
  std::string instance;
  std::vector<::palyra::service::v1::ToolInfo> tools;
};

struct MergedCatalogue {
  std::shared_ptr<const Catalogue> catalogue;
  // (instance, name in the catalogue) -> the instance's own name, where they differ.
  std::map<std::pair<std::string, std::string>, std::string> own_names;
  // Sentences for the operator: names taken twice, names that are none.
  std::vector<std::string> warnings;
};

// `instances` in the order of the configuration: where two offer one name, the first keeps it and
// the other's tool is called "<instance>.<name>".
MergedCatalogue merge_catalogue(const std::vector<InstanceTools>& instances);

// 1..64 bytes of [a-z0-9_.-].
bool is_tool_name(const std::string& name);

}  // namespace palyra::gateway
