// The agents of the configuration.
#pragma once

#include "palyra/gateway/v1/gateway.pb.h"
#include "palyra/status.hpp"
#include "palyra/tape/v1/run.pb.h"
#include "palyra/task.hpp"
#include "plugins/gateway/ports/ports.h"
#include "plugins/gateway/session/options.h"

#include <map>
#include <string>
#include <vector>

namespace palyra::gateway {

namespace api = palyra::gateway::v1;
namespace tape = palyra::tape::v1;

// Immutable apart from what it remembers of stored prompts. On the gateway's lane.
class Agents {
 public:
  explicit Agents(const Options& options);

  // Empty id = the default agent. NOT_FOUND names the agents there are.
  Result<const AgentConfig*> find(const std::string& agent_id) const;
  const AgentConfig& default_agent() const { return agents_[default_]; }
  const std::vector<AgentConfig>& all() const { return agents_; }
  api::Agent describe(const AgentConfig& agent) const;

  // A copy for a run's tape; stores the system prompt as a blob the first time. `model` empty = the
  // agent's. FAILED_PRECONDITION if no model is configured, INVALID_ARGUMENT if it is not
  // "instance/model".
  Task<Result<tape::AgentSnapshot>> snapshot(const AgentConfig& agent, std::string model,
                                             Journal& journal);

 private:
  std::vector<AgentConfig> agents_;
  size_t default_ = 0;
  std::map<std::string, std::string> stored_;  // agent id -> digest of its prompt, once durable
};

}  // namespace palyra::gateway
