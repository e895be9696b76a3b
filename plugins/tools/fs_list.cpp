// SPDX-License-Identifier: Apache-2.0
#include "plugins/tools/file_tool.h"
#include "plugins/tools/tools.h"
#include "plugins/tools/walk.h"

#include <fcntl.h>

namespace palyra::tools {
namespace {

const char* type_name(char type) {
  switch (type) {
    case 'f':
      return "file";
    case 'd':
      return "directory";
    case 'l':
      return "link";
    default:
      return "other";
  }
}

class FsList : public FileTool {
 public:
  using FileTool::FileTool;

  service::v1::ToolInfo info() const override {
    service::v1::ToolInfo info;
    info.set_name("fs.list");
    info.set_description(
        "Lists a directory of the workspace, sorted by name: path, type (file, directory, link, "
        "other) and the size of files. With depth also what is below.");
    info.set_input_schema_json(R"({
      "type": "object",
      "properties": {
        "path": {"type": "string", "description": "Default: the workspace itself."},
        "depth": {"type": "integer", "minimum": 1, "maximum": 16,
                  "description": "Levels of directories to list; default 1."},
        "max_entries": {"type": "integer", "minimum": 1, "maximum": 5000,
                        "description": "Default 500."}
      },
      "additionalProperties": false
    })");
    info.set_effect(common::v1::EFFECT_CLASS_NONE);
    info.set_access(service::v1::TOOL_ACCESS_READ);
    info.set_parallel_safe(true);
    info.set_provenance(common::v1::PROVENANCE_WORKSPACE);
    return info;
  }

 protected:
  Result<nlohmann::json> run(const FileCall& call) const override {
    auto place = locate(call.roots, call.arguments.value("path", std::string(".")));
    if (!place.ok()) return place.status();
    auto directory = open_beneath(place->root.get(), place->relative, O_RDONLY | O_DIRECTORY);
    if (!directory.ok()) return directory.status();
    const auto most = call.arguments.value("max_entries", size_t{500});
    WalkLimits limits;
    limits.depth = call.arguments.value("depth", 1);
    nlohmann::json entries = nlohmann::json::array();
    auto complete = walk(std::move(*directory), limits, [&](const Entry& entry) {
      if (entries.size() == most || call.cancelled->load()) return false;
      nlohmann::json one = {{"path", entry.path}, {"type", type_name(entry.type)}};
      if (entry.type == 'f') one["size"] = entry.size;
      entries.push_back(std::move(one));
      return true;
    });
    if (!complete.ok()) return complete.status();
    nlohmann::json result = {{"path", place->shown}, {"entries", std::move(entries)}};
    if (!*complete) result["truncated"] = true;
    return result;
  }
};

}  // namespace

std::shared_ptr<tool::Tool> make_fs_list(Executor& executor) {
  return std::make_shared<FsList>(executor);
}

}  // namespace palyra::tools
