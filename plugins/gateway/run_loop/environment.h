// What all runs of one gateway share.
#pragma once

#include "palyra/gateway/v1/approvals.pb.h"
#include "palyra/task.hpp"
#include "plugins/common/json_schema/schema.h"
#include "plugins/gateway/approval/cache.h"
#include "plugins/gateway/policy/policy.h"
#include "plugins/gateway/ports/ports.h"
#include "plugins/gateway/run/decide.h"
#include "plugins/gateway/session/options.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace palyra::gateway {

// run::SchemaCheck with JSON Schema.
std::string check_schema_text(std::string_view schema_json, std::string_view text);

// On the gateway's lane. `tasks` is last: its tasks go first.
class Environment {
 public:
  Environment(World w, Options o, policy::PolicyRules r);

  World world;
  const Options options;
  run::SchemaCheck schema_check;
  approval::ApprovalCache approvals;

  const policy::PolicyRules& rules() const { return rules_; }
  const std::string& policy_digest() const { return policy_digest_; }
  // A decision that holds for more than its own action is in force from now on; others are ignored.
  void remember(const v1::Approval& approval);
  // Cached approvals whose rule is no longer in force end.
  void set_rules(policy::PolicyRules rules);

  // Empty if the arguments fit the tool's schema; else a sentence for the model.
  std::string check_arguments(const Tool& tool, const std::string& arguments_json);
  // Tokens of a model's window; the default where the provider does not say.
  Task<int64_t> context_window(std::string model);
  // What a run of this agent may use; kept while the catalogue is the same.
  struct Offered {
    std::vector<service::v1::ToolDefinition> tools;
    int64_t tokens = 0;
  };
  std::shared_ptr<const Offered> offered(const palyra::tape::v1::AgentSnapshot& agent);
  // Text of a blob that is used again and again.
  Task<Result<std::string>> text_blob(std::string digest);

  // Set once by shutdown: nothing is written any more.
  bool stopping = false;
  // Loops that are there, ended or not.
  size_t loops = 0;

 private:
  struct ParsedSchema {
    std::string text;
    Result<json_schema::Schema> schema;
  };
  struct Window {
    int64_t tokens = 0;
    int64_t until_ns = 0;
  };
  policy::PolicyRules rules_;
  std::string policy_digest_;
  std::map<std::string, ParsedSchema> schemas_;  // by tool
  std::map<std::string, Window> windows_;        // by model
  std::map<std::string, std::string> texts_;     // by digest
  std::shared_ptr<const Catalogue> offered_from_;
  std::map<std::vector<std::string>, std::shared_ptr<const Offered>> offered_;  // by patterns

 public:
  TaskScope tasks;
};

// What is said of a run that a stop of the daemon cuts off.
inline Status cut_off_by_stop() {
  return Status(Code::kUnavailable, "the daemon is stopping; the run goes on at its next start");
}

}  // namespace palyra::gateway
