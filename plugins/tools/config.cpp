// SPDX-License-Identifier: Apache-2.0
#include "plugins/tools/config.h"

#include "plugins/common/json_schema/json_text.h"

#include <nlohmann/json.hpp>

namespace palyra::tools {

Result<Config> parse_config(std::string_view text) {
  Config config;
  config.http.settings = "[tools.http]";
  if (text.empty()) return config;
  auto parsed = json_schema::parse_json(text, "[tools]");
  if (!parsed.ok()) return parsed.status();
  try {
    const nlohmann::json& root = *parsed;
    config.max_file_bytes = root.value("max_file_bytes", config.max_file_bytes);
    config.search_timeout_ms = root.value("search_timeout_ms", config.search_timeout_ms);
    const nlohmann::json http = root.value("http", nlohmann::json::object());
    config.http.allow_hosts = http.value("allow_hosts", config.http.allow_hosts);
    config.http.allow_private = http.value("allow_private", config.http.allow_private);
    config.http.schemes = http.value("schemes", config.http.schemes);
    config.http_max_bytes = http.value("max_bytes", config.http_max_bytes);
    config.http_timeout_ms = http.value("timeout_ms", config.http_timeout_ms);
  } catch (const nlohmann::json::exception& error) {
    return Status(Code::kInvalidArgument, std::string("[tools]: ") + error.what(),
                  PALYRA_ERROR_USER_FAULT);
  }
  if (config.max_file_bytes < 1 || config.search_timeout_ms < 1 || config.http_max_bytes < 1 ||
      config.http_timeout_ms < 1) {
    return Status(Code::kInvalidArgument, "[tools]: every limit must be at least 1",
                  PALYRA_ERROR_USER_FAULT);
  }
  for (const std::string& scheme : config.http.schemes) {
    if (scheme != "http" && scheme != "https") {
      return Status(Code::kInvalidArgument,
                    "[tools.http] schemes: \"" + scheme + "\" is neither \"https\" nor \"http\"",
                    PALYRA_ERROR_USER_FAULT);
    }
  }
  return config;
}

}  // namespace palyra::tools
