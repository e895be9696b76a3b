#include "plugins/gateway/run_loop/environment.h"

#include "plugins/gateway/run/compile.h"
#include "plugins/gateway/run_loop/context_gatherer.h"
#include "plugins/gateway/session/documents.h"

#include <utility>

namespace palyra::gateway {
namespace {

constexpr int64_t kWindowNs = 60 * kNanosPerSecond;
constexpr size_t kTexts = 64;

}  // namespace

std::string check_schema_text(std::string_view schema_json, std::string_view text) {
  auto schema = json_schema::Schema::parse(schema_json);
  if (!schema.ok()) return schema.status().message();
  return schema->validate(text).message();
}

Environment::Environment(World w, Options o, policy::PolicyRules r)
    : world(w), options(std::move(o)), schema_check(check_schema_text) {
  set_rules(std::move(r));
}

void Environment::set_rules(policy::PolicyRules rules) {
  rules_ = std::move(rules);
  policy_digest_ = policy::rules_digest(rules_);
  approvals.keep_if([this](const approval::CachedApproval& cached) {
    return policy::in_force(rules_, cached.rule_digest, cached.tool);
  });
}

void Environment::remember(const v1::Approval& approval) {
  const auto& request = approval.request();
  if (!lasts(approval.decision()) ||
      !policy::in_force(rules_, request.rule_digest(), request.tool())) {
    return;
  }
  approval::CachedApproval cached;
  cached.approval_id = request.approval_id();
  cached.session_id = approval.session_id();
  cached.principal = approval.principal();
  cached.tool = request.tool();
  cached.rule = request.rule();
  cached.rule_digest = request.rule_digest();
  cached.until_ms = approval.decision().until_ms();
  approvals.add(std::move(cached));
}

std::string Environment::check_arguments(const Tool& tool, const std::string& arguments_json) {
  auto known = schemas_.find(tool.info.name());
  if (known == schemas_.end() || known->second.text != tool.info.input_schema_json()) {
    ParsedSchema parsed{tool.info.input_schema_json(),
                        json_schema::Schema::parse(tool.info.input_schema_json())};
    known = schemas_.insert_or_assign(tool.info.name(), std::move(parsed)).first;
  }
  if (!known->second.schema.ok()) {
    return "the tool's input schema is broken: " + known->second.schema.status().message();
  }
  return known->second.schema->validate(arguments_json).message();
}

Task<int64_t> Environment::context_window(std::string model) {
  const int64_t now = world.clock.mono_now();
  const auto known = windows_.find(model);
  if (known != windows_.end() && known->second.until_ns > now) co_return known->second.tokens;
  int64_t window = options.context_window;
  const size_t slash = model.find('/');
  if (slash != std::string::npos) {
    auto listed = co_await world.providers.models(model.substr(0, slash), false);
    if (listed.ok()) {
      for (const auto& info : listed->models()) {
        if (info.id() == model.substr(slash + 1) && info.context_window() > 0) {
          window = info.context_window();
        }
      }
    }
  }
  windows_[model] = {window, now + kWindowNs};
  co_return window;
}

std::shared_ptr<const Environment::Offered> Environment::offered(
    const palyra::tape::v1::AgentSnapshot& agent) {
  auto catalogue = world.tools.catalogue();
  if (catalogue != offered_from_) {
    offered_.clear();
    offered_from_ = std::move(catalogue);
  }
  auto& known = offered_[{agent.tools().begin(), agent.tools().end()}];
  if (!known) {
    auto made = std::make_shared<Offered>();
    made->tools = offered_tools(*offered_from_, agent);
    made->tokens = run::tool_tokens(made->tools);
    known = std::move(made);
  }
  return known;
}

Task<Result<std::string>> Environment::text_blob(std::string digest) {
  const auto known = texts_.find(digest);
  if (known != texts_.end()) co_return known->second;
  auto text = co_await world.journal.get_blob(digest);
  if (text.ok()) {
    if (texts_.size() >= kTexts) texts_.clear();
    texts_[digest] = *text;
  }
  co_return text;
}

}  // namespace palyra::gateway
