// How a daemon is started over the faulty file system.
#pragma once

#include <string>
#include <vector>

namespace palyra::chaos {

// Assignments for the daemon's environment; `control` is the file that map_control() maps.
std::vector<std::string> fault_environment(const std::string& control);

}  // namespace palyra::chaos
