#include "plugins/gateway/config.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace palyra::gateway {
namespace {

using Json = nlohmann::json;

Status bad(const std::string& where, const std::string& what) {
  return Status(Code::kInvalidArgument, where + ": " + what, PALYRA_ERROR_USER_FAULT);
}

// Reads keys of one object and remembers the first mistake.
class Reader {
 public:
  Reader(const Json& object, std::string where, Status& status)
      : object_(object), where_(std::move(where)), status_(status) {
    if (!object.is_object()) fail("", "must be a table");
  }

  const Json* find(const char* key) const {
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  std::string path(const std::string& key) const {
    return key.empty() ? where_ : where_ + "." + key;
  }
  void fail(const std::string& key, const std::string& what) const {
    if (status_.ok()) status_ = bad(path(key), what);
  }

  void text(const char* key, std::string& out) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_string()) return fail(key, "must be a text");
    out = value->get<std::string>();
  }
  void flag(const char* key, bool& out) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_boolean()) return fail(key, "must be true or false");
    out = value->get<bool>();
  }
  template <typename N>
  void number(const char* key, N& out, int64_t least, int64_t most) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    const bool whole =
        value->is_number_integer() &&
        !(value->is_number_unsigned() &&
          value->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
    if (!whole || value->get<int64_t>() < least || value->get<int64_t>() > most) {
      return fail(key, "must be a whole number from " + std::to_string(least) + " to " +
                           std::to_string(most));
    }
    out = static_cast<N>(value->get<int64_t>());
  }
  void positive(const char* key, double& out) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_number() || !(value->get<double>() > 0) || value->get<double>() > 1e6) {
      return fail(key, "must be a number above 0, at most 1000000");
    }
    out = value->get<double>();
  }
  // A text or a list of texts.
  void texts(const char* key, std::vector<std::string>& out) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    out.clear();
    if (value->is_string()) {
      out.push_back(value->get<std::string>());
      return;
    }
    if (!value->is_array()) return fail(key, "must be a text or a list of texts");
    for (const Json& entry : *value) {
      if (!entry.is_string()) return fail(key, "must hold texts only");
      out.push_back(entry.get<std::string>());
    }
  }
  void verdict(const char* key, tape::v1::Verdict& out) const {
    std::string name;
    text(key, name);
    if (find(key) == nullptr) return;
    if (name == "allow") {
      out = tape::v1::VERDICT_ALLOW;
    } else if (name == "ask") {
      out = tape::v1::VERDICT_ASK;
    } else if (name == "deny") {
      out = tape::v1::VERDICT_DENY;
    } else {
      fail(key, "must be \"allow\", \"ask\" or \"deny\"");
    }
  }

 private:
  const Json& object_;
  const std::string where_;
  Status& status_;
};

bool is_model(const std::string& model) {
  const size_t slash = model.find('/');
  return slash != std::string::npos && slash > 0 && slash + 1 < model.size();
}

bool is_agent_id(const std::string& id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

void read_agents(const Json& agents, Options& options, Status& status) {
  const Reader all(agents, "gateway.agents", status);
  if (!agents.is_object()) return;
  int defaults = 0;
  for (const auto& [id, entry] : agents.items()) {
    const Reader reader(entry, "gateway.agents." + id, status);
    AgentConfig agent;
    agent.agent_id = id;
    if (!is_agent_id(id)) all.fail(id, "an agent's name is 1..64 of [a-z0-9_-]");
    reader.text("model", agent.model);
    if (!agent.model.empty() && !is_model(agent.model)) {
      reader.fail("model", "must be \"instance/model\", such as \"openai/gpt-4o\"");
    }
    reader.text("system_prompt", agent.system_prompt);
    if (agent.system_prompt.size() > 256 * 1024) {
      reader.fail("system_prompt", "has at most 256 KiB");
    }
    reader.texts("tools", agent.tools);
    reader.texts("workspace", agent.workspace_roots);
    for (const std::string& root : agent.workspace_roots) {
      if (root.empty() || root[0] != '/') {
        reader.fail("workspace", "needs absolute directories, not \"" + root + "\"");
      }
    }
    reader.flag("default", agent.is_default);
    defaults += agent.is_default ? 1 : 0;
    options.agents.push_back(std::move(agent));
  }
  if (defaults > 1) all.fail("", "only one agent can be the default");
}

void read_limits(const Json& limits, LimitOptions& out, Status& status) {
  const Reader reader(limits, "gateway.limits", status);
  constexpr int64_t kDay = 86'400'000;
  reader.number("max_turns", out.max_turns, 1, 10'000);
  reader.number("max_tool_calls", out.max_tool_calls, 0, 100'000);
  reader.number("max_running_ms", out.max_running_ms, 1, 7 * kDay);
  reader.number("max_repeated_failures", out.max_repeated_failures, 1, 1'000);
  reader.number("max_parallel_tools", out.max_parallel_tools, 1, 64);
  reader.number("max_tokens", out.max_tokens, 0, 1'000'000'000'000);
  reader.number("max_output_tokens", out.max_output_tokens, 1, 10'000'000);
  reader.number("approval_timeout_ms", out.approval_timeout_ms, 1, 30 * kDay);
}

// A bare key is the argument of that name; "/a/b" is a JSON pointer.
std::string to_pointer(const std::string& key) {
  if (!key.empty() && key[0] == '/') return key;
  std::string pointer = "/";
  for (const char c : key) {
    if (c == '~') {
      pointer += "~0";
    } else if (c == '/') {
      pointer += "~1";
    } else {
      pointer += c;
    }
  }
  return pointer;
}

void read_rule(const Json& entry, const std::string& where, policy::Rule& rule, Status& status) {
  const Reader reader(entry, where, status);
  if (reader.find("verdict") == nullptr) reader.fail("verdict", "is missing");
  reader.text("reason", rule.name);
  reader.verdict("verdict", rule.verdict);
  reader.texts("tool", rule.tools);
  reader.texts("agent", rule.agents);
  reader.texts("principal", rule.principals);
  reader.texts("channel", rule.channels);
  reader.texts("session", rule.sessions);
  std::string access;
  reader.text("access", access);
  if (access == "read") {
    rule.access = service::v1::TOOL_ACCESS_READ;
  } else if (access == "write") {
    rule.access = service::v1::TOOL_ACCESS_WRITE;
  } else if (!access.empty()) {
    reader.fail("access", "must be \"read\" or \"write\"");
  }
  if (const Json* arguments = reader.find("arguments")) {
    if (!arguments->is_object()) return reader.fail("arguments", "must be a table of globs");
    for (const auto& [key, glob] : arguments->items()) {
      if (!glob.is_string()) return reader.fail("arguments." + key, "must be a glob, a text");
      rule.arguments.push_back({to_pointer(key), glob.get<std::string>()});
    }
  }
}

void read_policy(const Json& section, policy::PolicyRules& out, Status& status) {
  const Reader reader(section, "gateway.policy", status);
  reader.verdict("default_read", out.read_default);
  reader.verdict("default_write", out.write_default);
  const Json* rules = reader.find("rules");
  if (rules == nullptr) return;
  if (!rules->is_array()) return reader.fail("rules", "must be a list of tables");
  for (size_t i = 0; i < rules->size(); ++i) {
    policy::Rule rule;
    read_rule((*rules)[i], "gateway.policy.rules[" + std::to_string(i) + "]", rule, status);
    if (rule.name.empty()) {
      rule.name = "rules[" + std::to_string(i) + "]" +
                  (rule.tools.empty() ? std::string() : " " + rule.tools.front());
    }
    out.rules.push_back(std::move(rule));
  }
}

}  // namespace

Result<GatewayConfig> parse_config(std::string_view json) {
  const Json parsed = json.empty() ? Json::object() : Json::parse(json, nullptr, false);
  if (!parsed.is_object()) return bad("gateway", "is not a JSON object");
  Status status;
  GatewayConfig config;
  const Reader reader(parsed, "gateway", status);
  reader.text("grpc_listen", config.grpc_listen);
  config.options.default_model = "embedded/rules";
  reader.text("model", config.options.default_model);
  if (!is_model(config.options.default_model)) {
    reader.fail("model", "must be \"instance/model\", such as \"openai/gpt-4o\"");
  }
  reader.number("queue_depth", config.options.queue_depth, 0, 10'000);
  reader.number("coalesce_ms", config.options.coalesce_ms, 0, 60'000);
  reader.number("checkpoint_every_s", config.checkpoint_every_s, 1, 86'400);
  reader.text("admin_auth_token", config.admin_auth_token);
  reader.number("retention_ttl_days", config.retention.ttl_days, 0, 36'500);
  reader.number("retention_max_bytes", config.retention.max_bytes, 0, 1'000'000'000'000'000);
  if (const Json* agents = reader.find("agents")) read_agents(*agents, config.options, status);
  if (const Json* limits = reader.find("limits")) {
    read_limits(*limits, config.options.limits, status);
  }
  if (const Json* rules = reader.find("policy")) read_policy(*rules, config.policy, status);
  if (const Json* rate = reader.find("rate_limit")) {
    const Reader limit(*rate, "gateway.rate_limit", status);
    limit.positive("requests_per_second", config.admission.requests_per_second);
    limit.positive("burst", config.admission.burst);
  }
  if (status.ok()) status = policy::check(config.policy);
  if (!status.ok()) return status;
  return config;
}

}  // namespace palyra::gateway
