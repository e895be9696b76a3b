// The instance's configuration: section [model_provider] or [plugins.NAME.config].
#pragma once

#include "palyra/status.hpp"
#include "plugins/common/http/http.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::openai {

struct ModelConfig {
  std::string id;
  int64_t context_window = 0;     // tokens, 0 = unknown
  int64_t max_output_tokens = 0;  // tokens, 0 = unknown
};

struct Config {
  // Without a slash at the end.
  std::string base_url = "https://api.openai.com/v1";
  // A reference such as env:OPENAI_API_KEY; empty = the endpoint needs no key.
  std::string api_key;
  std::string organization;
  // Empty = what we know of api.openai.com, or nothing for other endpoints.
  std::vector<ModelConfig> models;
  std::vector<http::Header> headers;
  int64_t connect_timeout_ms = 10'000;
  int64_t first_token_timeout_ms = 60'000;
  int64_t idle_timeout_ms = 60'000;
  // Turns at once; more wait, foreground first.
  int64_t max_concurrency = 16;
  // Send max_tokens, as older servers want, instead of max_completion_tokens.
  bool legacy_max_tokens = false;
  // Ask for usage at the end of the stream; some servers refuse the option.
  bool stream_usage = true;
  // PEM file of trusted certificates; empty = the system's.
  std::string ca_file;
};

// From the JSON object that init gets, already valid against the manifest's schema. Errors:
// INVALID_ARGUMENT; a key that would travel over plain http to another machine among them.
Result<Config> parse_config(std::string_view json);

// What we know without asking: models of api.openai.com.
std::vector<ModelConfig> known_models(const std::string& base_url);

}  // namespace palyra::openai
