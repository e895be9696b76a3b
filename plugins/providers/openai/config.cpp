#include "plugins/providers/openai/config.h"

#include <nlohmann/json.hpp>

#include <arpa/inet.h>

namespace palyra::openai {
namespace {

constexpr const char* kDefaultUrl = "https://api.openai.com/v1";

Status bad(const std::string& what) {
  return Status(Code::kInvalidArgument, "configuration of the OpenAI provider: " + what,
                PALYRA_ERROR_USER_FAULT);
}

// Names other than localhost may resolve to anything, whatever they begin with.
bool is_loopback(const std::string& host_and_port) {
  if (!host_and_port.empty() && host_and_port[0] == '[') {
    return host_and_port.substr(0, 5) == "[::1]";
  }
  const std::string host = host_and_port.substr(0, host_and_port.rfind(':'));
  in_addr address{};
  if (inet_pton(AF_INET, host.c_str(), &address) == 1) return (ntohl(address.s_addr) >> 24) == 127;
  return host == "localhost";
}

}  // namespace

Result<Config> parse_config(std::string_view json) {
  Config config;
  if (json.empty()) json = "{}";
  try {
    const auto root = nlohmann::json::parse(json);
    config.base_url = root.value("base_url", config.base_url);
    config.api_key = root.value("api_key", config.api_key);
    config.organization = root.value("organization", config.organization);
    for (const auto& model : root.value("models", nlohmann::json::array())) {
      config.models.push_back({model.at("id").get<std::string>(),
                               model.value("context_window", int64_t{0}),
                               model.value("max_output_tokens", int64_t{0})});
    }
    const auto headers = root.value("headers", nlohmann::json::object());
    for (const auto& [name, value] : headers.items()) {
      config.headers.push_back({name, value.get<std::string>()});
    }
    config.connect_timeout_ms = root.value("connect_timeout_ms", config.connect_timeout_ms);
    config.first_token_timeout_ms =
        root.value("first_token_timeout_ms", config.first_token_timeout_ms);
    config.idle_timeout_ms = root.value("idle_timeout_ms", config.idle_timeout_ms);
    config.max_concurrency = root.value("max_concurrency", config.max_concurrency);
    config.legacy_max_tokens = root.value("legacy_max_tokens", config.legacy_max_tokens);
    config.stream_usage = root.value("stream_usage", config.stream_usage);
    config.ca_file = root.value("ca_file", config.ca_file);
  } catch (const nlohmann::json::exception& error) {
    return bad(error.what());
  }
  while (!config.base_url.empty() && config.base_url.back() == '/') config.base_url.pop_back();
  http::Request probe;
  probe.url = config.base_url;
  probe.headers = config.headers;
  if (Status wrong = http::check_request(probe); !wrong.ok()) return bad(wrong.message());
  const bool plain = config.base_url.size() > 7 && (config.base_url[4] == ':');
  if (plain && !config.api_key.empty() && !is_loopback(http::host_of(config.base_url))) {
    return bad(
        "base_url is plain http to another machine, which would send the key in clear: use "
        "https");
  }
  if (config.connect_timeout_ms < 1 || config.first_token_timeout_ms < 1 ||
      config.idle_timeout_ms < 1 || config.max_concurrency < 1) {
    return bad("timeouts and max_concurrency must be at least 1");
  }
  return config;
}

std::vector<ModelConfig> known_models(const std::string& base_url) {
  if (base_url != kDefaultUrl) return {};
  return {{"gpt-4o", 128'000, 16'384},         {"gpt-4o-mini", 128'000, 16'384},
          {"gpt-4.1", 1'047'576, 32'768},      {"gpt-4.1-mini", 1'047'576, 32'768},
          {"gpt-4.1-nano", 1'047'576, 32'768}, {"o3", 200'000, 100'000},
          {"o4-mini", 200'000, 100'000},       {"gpt-5", 400'000, 128'000},
          {"gpt-5-mini", 400'000, 128'000}};
}

}  // namespace palyra::openai
