// SPDX-License-Identifier: Apache-2.0
// The section [tools].
#pragma once

#include "palyra/status.hpp"
#include "plugins/common/net_guard/guard.h"

#include <cstdint>
#include <string_view>

namespace palyra::tools {

struct Config {
  // Files beyond it are neither read, hashed nor written. Bytes, >= 1.
  int64_t max_file_bytes = int64_t{16} << 20;
  // fs.search stops here with what it has. Milliseconds, >= 1.
  int64_t search_timeout_ms = 5'000;
  // [tools.http]
  net_guard::Rules http;
  // Of a response. Bytes, >= 1.
  int64_t http_max_bytes = int64_t{2} << 20;
  // Of one fetch with its redirects. Milliseconds, >= 1.
  int64_t http_timeout_ms = 30'000;
};

// From the JSON object that init gets. INVALID_ARGUMENT names the setting.
Result<Config> parse_config(std::string_view json);

}  // namespace palyra::tools
