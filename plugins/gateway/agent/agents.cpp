#include "plugins/gateway/agent/agents.h"

#include <utility>

namespace palyra::gateway {

Agents::Agents(const Options& options) : agents_(options.agents) {
  if (agents_.empty()) {
    AgentConfig agent;
    agent.agent_id = "main";
    agents_.push_back(std::move(agent));
  }
  for (size_t i = 0; i < agents_.size(); ++i) {
    if (agents_[i].model.empty()) agents_[i].model = options.default_model;
    if (agents_[i].is_default && !agents_[default_].is_default) default_ = i;
  }
  for (size_t i = 0; i < agents_.size(); ++i) agents_[i].is_default = i == default_;
}

Result<const AgentConfig*> Agents::find(const std::string& agent_id) const {
  if (agent_id.empty()) return &default_agent();
  std::string known;
  for (const AgentConfig& agent : agents_) {
    if (agent.agent_id == agent_id) return &agent;
    known += (known.empty() ? "" : ", ") + agent.agent_id;
  }
  return Status(Code::kNotFound, "there is no agent \"" + agent_id.substr(0, 64) +
                                     "\"; the configuration has " + known);
}

api::Agent Agents::describe(const AgentConfig& agent) const {
  api::Agent out;
  out.set_agent_id(agent.agent_id);
  out.set_model(agent.model);
  out.set_system_prompt(agent.system_prompt);
  for (const auto& tool : agent.tools) out.add_tools(tool);
  for (const auto& root : agent.workspace_roots) out.add_workspace_roots(root);
  out.set_is_default(agent.is_default);
  return out;
}

Task<Result<tape::AgentSnapshot>> Agents::snapshot(const AgentConfig& agent, std::string model,
                                                   Journal& journal) {
  if (model.empty()) model = agent.model;
  if (model.empty()) {
    co_return Status(Code::kFailedPrecondition,
                     "agent " + agent.agent_id +
                         " has no model; set default_model or the agent's model to "
                         "\"instance/model\" in palyra.toml");
  }
  const size_t slash = model.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == model.size() || model.size() > 256) {
    co_return Status(Code::kInvalidArgument,
                     "model \"" + model.substr(0, 256) + "\" is not of the form instance/model");
  }
  tape::AgentSnapshot out;
  out.set_agent_id(agent.agent_id);
  out.set_model(std::move(model));
  for (const auto& tool : agent.tools) out.add_tools(tool);
  for (const auto& root : agent.workspace_roots) out.add_workspace_roots(root);
  if (!agent.system_prompt.empty()) {
    const auto known = stored_.find(agent.agent_id);
    if (known != stored_.end()) {
      out.set_system_prompt_digest(known->second);
    } else {
      auto digest = co_await journal.put_blob(agent.system_prompt);
      if (!digest.ok()) co_return digest.status();
      stored_[agent.agent_id] = *digest;
      out.set_system_prompt_digest(*digest);
    }
  }
  co_return out;
}

}  // namespace palyra::gateway
