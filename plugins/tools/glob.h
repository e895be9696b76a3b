// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace palyra::tools {

// '*' any bytes (also '/'), '?' one byte. In time length times length, whatever the pattern. A
// pattern without '/' is matched against the last component of `path`.
bool glob_matches(std::string_view pattern, std::string_view path);

}  // namespace palyra::tools
