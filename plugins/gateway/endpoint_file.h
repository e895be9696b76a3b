// Where the daemon's clients read which address was bound.
#pragma once

#include "palyra/status.hpp"

#include <string>

namespace palyra::gateway {

// Replaces the file atomically, mode 0600, with "host:port" and a newline. Blocks on the disk.
// Errors: UNAVAILABLE naming the path and the reason.
Status write_endpoint(const std::string& path, const std::string& endpoint);
void remove_endpoint(const std::string& path);

}  // namespace palyra::gateway
