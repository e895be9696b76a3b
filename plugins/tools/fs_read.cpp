// SPDX-License-Identifier: Apache-2.0
#include "plugins/common/digest/digest.h"
#include "plugins/tools/file_tool.h"
#include "plugins/tools/tools.h"
#include "plugins/tools/workspace.h"

namespace palyra::tools {
namespace {

constexpr int64_t kDefaultLimit = 48 << 10;

bool continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

class FsRead : public FileTool {
 public:
  FsRead(Executor& executor, int64_t max_bytes) : FileTool(executor), max_bytes_(max_bytes) {}

  service::v1::ToolInfo info() const override {
    service::v1::ToolInfo info;
    info.set_name("fs.read");
    info.set_description(
        "Reads a text file of the workspace. Returns its content, size and SHA-256 (the "
        "\"expected\" of fs.write). A long file comes in parts: pass next_offset as offset to go "
        "on.");
    info.set_input_schema_json(R"({
      "type": "object",
      "properties": {
        "path": {"type": "string", "minLength": 1,
                 "description": "Relative to the workspace, or absolute inside it."},
        "offset": {"type": "integer", "minimum": 0, "description": "First byte; default 0."},
        "limit": {"type": "integer", "minimum": 1, "maximum": 1048576,
                  "description": "Most bytes to return; default 49152."}
      },
      "required": ["path"],
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
    auto place = locate(call.roots, call.arguments["path"].get<std::string>());
    if (!place.ok()) return place.status();
    auto file = open_regular(place->root.get(), place->relative, place->shown);
    if (!file.ok()) return file.status();
    auto data = read_all(file->fd.get(), static_cast<size_t>(max_bytes_), place->shown);
    if (!data.ok()) return data.status();

    const auto offset = call.arguments.value("offset", uint64_t{0});
    if (offset > data->size()) {
      return tool::problem(place->shown + " has only " + std::to_string(data->size()) +
                           " bytes; offset " + std::to_string(offset) + " is beyond them");
    }
    if (!is_text(data->substr(0, 8192))) return binary(place->shown, data->size());
    // Whole characters only: a part begins and ends between them.
    size_t begin = offset;
    while (begin < data->size() && continuation((*data)[begin])) ++begin;
    const auto limit = static_cast<size_t>(call.arguments.value("limit", kDefaultLimit));
    size_t end = std::min(data->size(), begin + limit);
    while (end < data->size() && end > begin && continuation((*data)[end])) --end;
    if (end == begin && end < data->size()) {
      // The limit is smaller than one character.
      for (++end; end < data->size() && continuation((*data)[end]);) ++end;
    }
    std::string part = data->substr(begin, end - begin);
    if (!is_text(part)) return binary(place->shown, data->size());

    nlohmann::json result = {{"path", place->shown},
                             {"size", data->size()},
                             {"sha256", digest::to_hex(digest::sha256(*data))},
                             {"offset", begin},
                             {"content", std::move(part)}};
    if (end < data->size()) result["next_offset"] = end;
    return result;
  }

 private:
  static Status binary(const std::string& shown, size_t size) {
    return tool::problem(shown + " is binary (" + std::to_string(size) +
                         " bytes); only UTF-8 text can be read");
  }

  const int64_t max_bytes_;
};

}  // namespace

std::shared_ptr<tool::Tool> make_fs_read(Executor& executor, const Config& config) {
  return std::make_shared<FsRead>(executor, config.max_file_bytes);
}

}  // namespace palyra::tools
