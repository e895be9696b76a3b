// The arguments of a call, read in the one way in which everybody reads them. Pure.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string_view>

namespace palyra::gateway::policy {

// Empty for what is not JSON, is deeper than 64, or names a key twice in one object: two readers
// could see two different calls, and the one that judges may not be the one that acts.
std::optional<nlohmann::json> read_arguments(std::string_view json);

}  // namespace palyra::gateway::policy
