// The instance's configuration, [plugins.NAME.config].
#pragma once

#include "palyra/status.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace palyra::embedded {

struct Config {
  // Milliseconds before each event, 0..600,000.
  int64_t delay_ms = 0;
  // Path of a scripted conversation; empty = rules only.
  std::string script;
  // Tokens, >= 256.
  int64_t context_window = 32'768;
  // Milliseconds, >= 1.
  int64_t first_token_timeout_ms = 60'000;
};

// From the JSON object that init gets, already valid against the manifest's schema. Errors:
// INVALID_ARGUMENT.
Result<Config> parse_config(std::string_view json);

}  // namespace palyra::embedded
