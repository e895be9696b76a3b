#include "plugins/providers/embedded/config.h"

#include <nlohmann/json.hpp>

namespace palyra::embedded {

Result<Config> parse_config(std::string_view json) {
  Config config;
  if (json.empty()) return config;
  try {
    const auto root = nlohmann::json::parse(json);
    config.delay_ms = root.value("delay_ms", config.delay_ms);
    config.script = root.value("script", config.script);
    config.context_window = root.value("context_window", config.context_window);
    config.first_token_timeout_ms =
        root.value("first_token_timeout_ms", config.first_token_timeout_ms);
  } catch (const nlohmann::json::exception& error) {
    return Status(Code::kInvalidArgument,
                  std::string("configuration of the embedded provider: ") + error.what(),
                  PALYRA_ERROR_USER_FAULT);
  }
  if (config.delay_ms < 0 || config.delay_ms > 600'000 || config.context_window < 256 ||
      config.first_token_timeout_ms < 1) {
    return Status(Code::kInvalidArgument,
                  "configuration of the embedded provider: delay_ms must be 0..600000, "
                  "context_window at least 256, first_token_timeout_ms at least 1",
                  PALYRA_ERROR_USER_FAULT);
  }
  return config;
}

}  // namespace palyra::embedded
