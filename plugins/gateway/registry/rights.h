// What one instance may publish and acquire: its manifest, narrowed by the operator's grant.
#pragma once

#include "palyra/status.hpp"

#include <set>
#include <string>
#include <string_view>

namespace palyra::registry {

// Value. Deny by default: what is not listed is refused.
struct Rights {
  std::set<std::string, std::less<>> provides;
  std::set<std::string, std::less<>> requires_ids;
  bool concurrent = false;  // concurrency "any"

  // `manifest` is the plugin's JSON; `grant` is {"provides": [ids], "requires": [ids]}, where a
  // missing list (or an empty grant) leaves what the manifest says, and a list only takes away.
  // INVALID_ARGUMENT for JSON of another shape.
  static Result<Rights> parse(std::string_view manifest, std::string_view grant);
};

// Bound by [services], one publisher each: journal, memory, schedule, policy, vault.
bool is_single_service(std::string_view service_id);
// Offered by the gateway itself and by nobody else: inbound, runs, egress, the registry.
bool is_hub_service(std::string_view service_id);
// "palyra.tool/1": 3..128 bytes of [a-z0-9_.-], a slash, a number from 1.
bool is_service_id(std::string_view service_id);

}  // namespace palyra::registry
