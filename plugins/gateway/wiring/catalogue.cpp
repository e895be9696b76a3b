#include "plugins/gateway/wiring/catalogue.h"

#include "plugins/common/digest/digest.h"

#include <algorithm>

namespace palyra::gateway {
namespace {

std::string length_prefixed(const std::string& data) {
  std::string out(8, '\0');
  for (size_t i = 0; i < 8; ++i) out[7 - i] = static_cast<char>((data.size() >> (8 * i)) & 0xFF);
  return out + data;
}

std::string digest_of(const Catalogue& catalogue) {
  digest::Sha256 sha;
  sha.update("palyra.catalogue.1");
  for (const auto& [name, tool] : catalogue.tools) {
    sha.update(length_prefixed(tool.instance));
    sha.update(length_prefixed(tool.info.SerializeAsString()));
  }
  return sha.finish();
}

}  // namespace

bool is_tool_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
  });
}

MergedCatalogue merge_catalogue(const std::vector<InstanceTools>& instances) {
  MergedCatalogue merged;
  auto catalogue = std::make_shared<Catalogue>();
  for (const InstanceTools& offered : instances) {
    for (const service::v1::ToolInfo& info : offered.tools) {
      std::string name = info.name();
      if (!is_tool_name(name)) {
        merged.warnings.push_back("a tool of \"" + offered.instance +
                                  "\" is left out: its name must be 1..64 of [a-z0-9_.-]");
        continue;
      }
      if (const auto taken = catalogue->tools.find(name); taken != catalogue->tools.end()) {
        const std::string other = offered.instance + "." + name;
        if (!is_tool_name(other) || catalogue->tools.count(other) != 0) {
          merged.warnings.push_back("tool " + name + " of \"" + offered.instance +
                                    "\" is left out: \"" + taken->second.instance +
                                    "\" has the name already");
          continue;
        }
        merged.warnings.push_back("tool " + name + " is offered by \"" + taken->second.instance +
                                  "\" and \"" + offered.instance + "\"; the second is called " +
                                  other);
        merged.own_names[{offered.instance, other}] = name;
        name = other;
      }
      Tool tool{offered.instance, info};
      tool.info.set_name(name);
      catalogue->tools.emplace(std::move(name), std::move(tool));
    }
  }
  catalogue->digest = digest_of(*catalogue);
  merged.catalogue = std::move(catalogue);
  return merged;
}

}  // namespace palyra::gateway
