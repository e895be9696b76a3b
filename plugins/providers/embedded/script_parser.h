// YAML to steps; every error names file and line.
#pragma once

#include "palyra/status.hpp"
#include "plugins/providers/embedded/script.h"

#include <string>
#include <vector>

namespace palyra::embedded {

Result<std::vector<Step>> parse_script(const std::string& yaml, const std::string& file_name);

}  // namespace palyra::embedded
