#include "plugins/gateway/approval/action.h"

#include "plugins/common/digest/digest.h"
#include "plugins/gateway/policy/arguments.h"

namespace palyra::gateway::approval {

std::string canonical_json(std::string_view json) {
  const auto parsed = policy::read_arguments(json);
  if (!parsed) return std::string(json);
  return parsed->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string action_digest(std::string_view tool, std::string_view arguments_json,
                          const std::vector<std::string>& workspace_roots,
                          std::string_view run_id) {
  std::string bytes;
  const auto add = [&](std::string_view part) {
    bytes += std::to_string(part.size());
    bytes += ':';
    bytes += part;
  };
  add("palyra.action.1");
  add(tool);
  add(canonical_json(arguments_json));
  add(run_id);
  for (const std::string& root : workspace_roots) add(root);
  return digest::sha256(bytes);
}

}  // namespace palyra::gateway::approval
