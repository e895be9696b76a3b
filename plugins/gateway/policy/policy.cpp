#include "plugins/gateway/policy/policy.h"

#include "plugins/common/digest/digest.h"
#include "plugins/gateway/policy/arguments.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway::policy {

using palyra::tape::v1::Verdict;
using palyra::tape::v1::VERDICT_ALLOW;
using palyra::tape::v1::VERDICT_ASK;
using palyra::tape::v1::VERDICT_DENY;
namespace service = palyra::service::v1;

namespace {

// Length-prefixed, so that no two lists of parts give the same bytes.
class Digester {
 public:
  Digester& add(std::string_view part) {
    bytes_ += std::to_string(part.size());
    bytes_ += ':';
    bytes_ += part;
    return *this;
  }
  Digester& add(const std::vector<std::string>& parts) {
    add(std::to_string(parts.size()));
    for (const std::string& part : parts) add(part);
    return *this;
  }
  std::string finish() const { return digest::sha256(bytes_); }

 private:
  std::string bytes_;
};

bool is_read(service::ToolAccess access) { return access == service::TOOL_ACCESS_READ; }

std::string default_digest(Verdict verdict, std::string_view tool) {
  return Digester().add("palyra.policy.default.1").add(std::to_string(verdict)).add(tool).finish();
}

bool arguments_match(const Rule& rule, const std::optional<nlohmann::json>& arguments) {
  if (rule.arguments.empty()) return true;
  if (!arguments) return rule.verdict == VERDICT_DENY;
  for (const Rule::Argument& argument : rule.arguments) {
    const nlohmann::json* value = nullptr;
    try {
      const nlohmann::json::json_pointer pointer(argument.pointer);
      if (!arguments->contains(pointer)) return false;
      value = &arguments->at(pointer);
    } catch (const nlohmann::json::exception&) {
      return rule.verdict == VERDICT_DENY;
    }
    const std::string text =
        value->is_string() ? value->get<std::string>()
                           : value->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (!matches_glob(argument.glob, text)) return false;
  }
  return true;
}

bool matches(const Rule& rule, const PolicyRequest& request,
             const std::optional<nlohmann::json>& arguments) {
  if (rule.access != service::TOOL_ACCESS_UNSPECIFIED &&
      is_read(rule.access) != is_read(request.access)) {
    return false;
  }
  return matches_any(rule.tools, request.tool) && matches_any(rule.agents, request.agent) &&
         matches_any(rule.principals, request.principal) &&
         matches_any(rule.channels, request.channel) &&
         matches_any(rule.sessions, request.session) && arguments_match(rule, arguments);
}

const char* verb(Verdict verdict) {
  switch (verdict) {
    case VERDICT_ALLOW:
      return "allows";
    case VERDICT_ASK:
      return "asks a person before";
    default:
      return "denies";
  }
}

Judgement by_rule(const Rule& rule, const PolicyRequest& request) {
  Judgement judgement;
  const bool known = rule.verdict == VERDICT_ALLOW || rule.verdict == VERDICT_ASK;
  judgement.verdict = known ? rule.verdict : VERDICT_DENY;
  judgement.rule = rule.name;
  judgement.rule_digest = rule_digest(rule);
  judgement.explanation =
      "Rule \"" + rule.name + "\" " + verb(judgement.verdict) + " " + request.tool + ".";
  return judgement;
}

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view text) {
  if (!pattern.empty() && pattern.back() == '*') {
    pattern.remove_suffix(1);
    return text.substr(0, pattern.size()) == pattern;
  }
  return pattern == text;
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view text) {
  return patterns.empty() ||
         std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return matches_pattern(pattern, text); });
}

bool matches_glob(std::string_view glob, std::string_view text) {
  size_t g = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t resume = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      resume = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

Judgement judge(const PolicyRules& rules, const PolicyRequest& request) {
  Judgement judgement;
  if (!matches_any(request.agent_tools, request.tool)) {
    judgement.rule = "agent tools";
    judgement.rule_digest = Digester().add("palyra.policy.agent.1").add(request.agent).finish();
    judgement.explanation = "Agent " + request.agent + " may not use " + request.tool + ".";
    return judgement;
  }
  const auto arguments = read_arguments(request.arguments_json);
  const Rule* first = nullptr;
  for (const Rule& rule : rules.rules) {
    if (!matches(rule, request, arguments)) continue;
    if (rule.verdict != VERDICT_ALLOW && rule.verdict != VERDICT_ASK) {
      return by_rule(rule, request);
    }
    if (first == nullptr) first = &rule;
  }
  if (first != nullptr) return by_rule(*first, request);
  const bool read = is_read(request.access);
  const Verdict verdict = read ? rules.read_default : rules.write_default;
  judgement.verdict = verdict == palyra::tape::v1::VERDICT_UNSPECIFIED ? VERDICT_DENY : verdict;
  judgement.rule = "default";
  judgement.rule_digest = default_digest(judgement.verdict, request.tool);
  judgement.explanation = std::string("No rule names ") + request.tool + ", and the default " +
                          verb(judgement.verdict) + " what " +
                          (read ? "only reads." : "has effects.");
  return judgement;
}

std::string rule_digest(const Rule& rule) {
  Digester digester;
  digester.add("palyra.policy.rule.1").add(std::to_string(rule.verdict));
  digester.add(rule.tools).add(rule.agents).add(rule.principals).add(rule.channels);
  digester.add(rule.sessions).add(std::to_string(rule.access));
  digester.add(std::to_string(rule.arguments.size()));
  for (const auto& argument : rule.arguments) digester.add(argument.pointer).add(argument.glob);
  return digester.finish();
}

std::string rules_digest(const PolicyRules& rules) {
  Digester digester;
  digester.add("palyra.policy.1");
  digester.add(std::to_string(rules.read_default)).add(std::to_string(rules.write_default));
  for (const Rule& rule : rules.rules) digester.add(rule.name).add(rule_digest(rule));
  return digester.finish();
}

bool in_force(const PolicyRules& rules, std::string_view digest, std::string_view tool) {
  if (digest == default_digest(rules.read_default, tool) ||
      digest == default_digest(rules.write_default, tool)) {
    return true;
  }
  return std::any_of(rules.rules.begin(), rules.rules.end(),
                     [&](const Rule& rule) { return rule_digest(rule) == digest; });
}

Status check(const PolicyRules& rules) {
  for (const Rule& rule : rules.rules) {
    if (rule.verdict != VERDICT_ALLOW && rule.verdict != VERDICT_ASK &&
        rule.verdict != VERDICT_DENY) {
      return {Code::kInvalidArgument, "policy rule \"" + rule.name + "\": say allow, ask or deny"};
    }
    for (const auto& argument : rule.arguments) {
      try {
        nlohmann::json::json_pointer pointer(argument.pointer);
      } catch (const nlohmann::json::exception&) {
        return {Code::kInvalidArgument, "policy rule \"" + rule.name + "\": \"" + argument.pointer +
                                            "\" is no JSON pointer; write \"/path\""};
      }
    }
  }
  return {};
}

}  // namespace palyra::gateway::policy
