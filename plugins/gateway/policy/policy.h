// The policy: allow, ask or deny one proposed call. Pure; a dry run is the same call.
//
// Order: a call outside the agent's tools is denied. Then a rule that denies wins wherever it
// stands; otherwise the first rule that matches decides; otherwise reads are allowed and effects
// ask.
#pragma once

#include "palyra/service/v1/tool.pb.h"
#include "palyra/status.hpp"
#include "palyra/tape/v1/run.pb.h"

#include <string>
#include <string_view>
#include <vector>

namespace palyra::gateway::policy {

// One written rule. Patterns: a trailing * matches a prefix, "*" everything; an empty list
// everything.
struct Rule {
  std::string name;  // for people; "tools[2] fs.write" if the operator gave none
  palyra::tape::v1::Verdict verdict = palyra::tape::v1::VERDICT_DENY;
  std::vector<std::string> tools;
  std::vector<std::string> agents;
  std::vector<std::string> principals;
  std::vector<std::string> channels;
  std::vector<std::string> sessions;
  // READ, WRITE or UNSPECIFIED for both.
  palyra::service::v1::ToolAccess access = palyra::service::v1::TOOL_ACCESS_UNSPECIFIED;
  // All must match. `pointer` is a JSON pointer ("/path") into the arguments, `glob` has * and ?
  // over the whole value; a value that is not a string is compared as its JSON. A missing value
  // does not match. Arguments that cannot be read for sure (see arguments.h) match every deny and
  // no other rule.
  struct Argument {
    std::string pointer;
    std::string glob;
  };
  std::vector<Argument> arguments;
};

struct PolicyRules {
  std::vector<Rule> rules;
  palyra::tape::v1::Verdict read_default = palyra::tape::v1::VERDICT_ALLOW;
  palyra::tape::v1::Verdict write_default = palyra::tape::v1::VERDICT_ASK;
};

// One proposed call, from the server's records.
struct PolicyRequest {
  std::string principal;
  std::string agent;
  std::string channel;
  std::string session;
  std::string tool;
  palyra::service::v1::ToolAccess access =
      palyra::service::v1::TOOL_ACCESS_UNSPECIFIED;  // treated as WRITE
  std::string arguments_json;
  std::vector<std::string> agent_tools;  // what the agent may use; empty = all
};

struct Judgement {
  palyra::tape::v1::Verdict verdict = palyra::tape::v1::VERDICT_DENY;
  std::string rule;  // "default" if no rule decided
  std::string
      rule_digest;  // SHA-256 of that rule (and for a default, of it and the tool), 32 bytes
  std::string explanation;  // one sentence
};

Judgement judge(const PolicyRules& rules, const PolicyRequest& request);

// SHA-256 of all that decides, 32 bytes.
std::string rules_digest(const PolicyRules& rules);
// SHA-256 of one rule without its name, 32 bytes.
std::string rule_digest(const Rule& rule);
// An approval may rest on this digest: it is that of a rule, or of the default for `tool`.
bool in_force(const PolicyRules& rules, std::string_view digest, std::string_view tool);

// First mistake of the rules: a name where verdict is missing, a pointer that is none. OK if none.
Status check(const PolicyRules& rules);

// A trailing * matches a prefix.
bool matches_pattern(std::string_view pattern, std::string_view text);
bool matches_any(const std::vector<std::string>& patterns, std::string_view text);  // empty = all
// * any run of bytes, ? one byte. Linear in text times stars; no recursion.
bool matches_glob(std::string_view glob, std::string_view text);

}  // namespace palyra::gateway::policy
