#include "plugins/gateway/config.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>

namespace palyra::gateway {
namespace {

TEST(GatewayConfigTest, NothingSaidMeansTheDefaults) {
  for (const char* json : {"", "{}"}) {
    const auto config = parse_config(json);
    ASSERT_TRUE(config.ok()) << config.status().to_string();
    EXPECT_EQ(config->grpc_listen, "127.0.0.1:7443");
    EXPECT_EQ(config->options.default_model, "embedded/rules");
    EXPECT_EQ(config->options.queue_depth, 8u);
    EXPECT_TRUE(config->options.agents.empty());
    EXPECT_EQ(config->policy.read_default, tape::v1::VERDICT_ALLOW);
    EXPECT_EQ(config->policy.write_default, tape::v1::VERDICT_ASK);
    EXPECT_EQ(config->admission.requests_per_second, 60);
    EXPECT_EQ(config->admission.burst, 120);
  }
}

TEST(GatewayConfigTest, TheSchemasDefaultsAreTheCodes) {
  std::ifstream file(std::string(std::getenv("PALYRA_SOURCE_DIR")) +
                     "/plugins/gateway/manifest.json");
  const auto manifest = nlohmann::json::parse(file);
  const auto& properties = manifest["config"]["properties"];
  nlohmann::json filled = nlohmann::json::object();
  for (const auto& [key, property] : properties.items()) {
    if (property.contains("default")) filled[key] = property["default"];
    if (!property.contains("properties")) continue;
    for (const auto& [inner, value] : property["properties"].items()) {
      if (value.contains("default")) filled[key][inner] = value["default"];
    }
  }
  const auto explicit_ones = parse_config(filled.dump());
  ASSERT_TRUE(explicit_ones.ok()) << explicit_ones.status().to_string();
  const auto silent = parse_config("{}");
  EXPECT_EQ(explicit_ones->grpc_listen, silent->grpc_listen);
  EXPECT_EQ(explicit_ones->options.default_model, silent->options.default_model);
  EXPECT_EQ(explicit_ones->options.queue_depth, silent->options.queue_depth);
  const LimitOptions& a = explicit_ones->options.limits;
  const LimitOptions& b = silent->options.limits;
  EXPECT_EQ(a.max_turns, b.max_turns);
  EXPECT_EQ(a.max_tool_calls, b.max_tool_calls);
  EXPECT_EQ(a.max_running_ms, b.max_running_ms);
  EXPECT_EQ(a.max_repeated_failures, b.max_repeated_failures);
  EXPECT_EQ(a.max_parallel_tools, b.max_parallel_tools);
  EXPECT_EQ(a.max_tokens, b.max_tokens);
  EXPECT_EQ(a.max_output_tokens, b.max_output_tokens);
  EXPECT_EQ(a.approval_timeout_ms, b.approval_timeout_ms);
  EXPECT_EQ(explicit_ones->admission.requests_per_second, silent->admission.requests_per_second);
  EXPECT_EQ(explicit_ones->admission.burst, silent->admission.burst);
  EXPECT_EQ(policy::rules_digest(explicit_ones->policy), policy::rules_digest(silent->policy));
}

TEST(GatewayConfigTest, ReadsAgentsLimitsAndRules) {
  const auto config = parse_config(R"({
    "grpc_listen": "127.0.0.1:0", "model": "openai/gpt-4o",
    "agents": {"main": {"workspace": ["/srv/a"], "default": true, "tools": ["fs.*"]},
               "other": {"model": "local/x/y", "system_prompt": "Be brief."}},
    "limits": {"max_turns": 3, "max_tokens": 500},
    "policy": {"default_write": "deny", "rules": [
      {"tool": "fs.write", "verdict": "allow", "agent": "main", "arguments": {"path": "/srv/a/*"}},
      {"tool": ["process.*"], "verdict": "deny", "reason": "no programs", "access": "write"}]},
    "rate_limit": {"requests_per_second": 1.5, "burst": 2}})");
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  ASSERT_EQ(config->options.agents.size(), 2u);
  EXPECT_EQ(config->options.agents[0].agent_id, "main");
  EXPECT_TRUE(config->options.agents[0].is_default);
  EXPECT_EQ(config->options.agents[0].workspace_roots, std::vector<std::string>{"/srv/a"});
  EXPECT_EQ(config->options.agents[1].model, "local/x/y");
  EXPECT_EQ(config->options.limits.max_turns, 3u);
  EXPECT_EQ(config->options.limits.max_tokens, 500);
  ASSERT_EQ(config->policy.rules.size(), 2u);
  const policy::Rule& rule = config->policy.rules[0];
  EXPECT_EQ(rule.name, "rules[0] fs.write");
  EXPECT_EQ(rule.verdict, tape::v1::VERDICT_ALLOW);
  EXPECT_EQ(rule.arguments.at(0).pointer, "/path");
  EXPECT_EQ(rule.arguments.at(0).glob, "/srv/a/*");
  EXPECT_EQ(config->policy.rules[1].name, "no programs");
  EXPECT_EQ(config->admission.requests_per_second, 1.5);
}

TEST(GatewayConfigTest, EachMistakeNamesItsKey) {
  const std::pair<const char*, const char*> cases[] = {
      {"[]", "gateway"},
      {R"({"grpc_listen": 1})", "gateway.grpc_listen"},
      {R"({"model": "gpt"})", "gateway.model"},
      {R"({"queue_depth": -1})", "gateway.queue_depth"},
      {R"({"queue_depth": 18446744073709551615})", "gateway.queue_depth"},
      {R"({"limits": {"max_turns": 0}})", "gateway.limits.max_turns"},
      {R"({"limits": 3})", "gateway.limits"},
      {R"({"agents": {"A b": {}}})", "gateway.agents.A b"},
      {R"({"agents": {"a": {"workspace": ["rel"]}}})", "gateway.agents.a.workspace"},
      {R"({"agents": {"a": {"default": true}, "b": {"default": true}}})", "gateway.agents"},
      {R"({"policy": {"default_read": "maybe"}})", "gateway.policy.default_read"},
      {R"({"policy": {"rules": [{}]}})", "gateway.policy.rules[0].verdict"},
      {R"({"policy": {"rules": [{"verdict": "ask", "tool": 3}]}})", "gateway.policy.rules[0].tool"},
      {R"({"rate_limit": {"burst": 0}})", "gateway.rate_limit.burst"},
  };
  for (const auto& [json, key] : cases) {
    const auto config = parse_config(json);
    ASSERT_FALSE(config.ok()) << json;
    EXPECT_EQ(config.status().code(), Code::kInvalidArgument) << json;
    EXPECT_EQ(config.status().message().rfind(key, 0), 0u)
        << json << " -> " << config.status().message();
  }
}

}  // namespace
}  // namespace palyra::gateway
