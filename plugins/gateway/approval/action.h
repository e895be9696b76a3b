// What exactly an approval allows. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace palyra::gateway::approval {

// JSON with sorted keys and no blanks; what is not JSON, or deeper than 64, stays as it is.
std::string canonical_json(std::string_view json);

// SHA-256 over length-prefixed ("palyra.action.1", tool, canonical arguments, run, workspace
// roots), 32 bytes: another argument, directory or run is another action.
std::string action_digest(std::string_view tool, std::string_view arguments_json,
                          const std::vector<std::string>& workspace_roots, std::string_view run_id);

}  // namespace palyra::gateway::approval
