// SPDX-License-Identifier: Apache-2.0
#include "plugins/common/utf8/utf8.h"
#include "plugins/tools/file_tool.h"
#include "plugins/tools/glob.h"
#include "plugins/tools/tools.h"
#include "plugins/tools/walk.h"

#include <fcntl.h>
#include <re2/re2.h>

namespace palyra::tools {
namespace {

constexpr int64_t kMaxSearched = int64_t{4} << 20;  // bytes of one file
constexpr size_t kMaxLine = 400;                    // bytes shown of a line

// RE2: time linear in the text, whatever the pattern.
Result<std::unique_ptr<RE2>> compile(const nlohmann::json& arguments) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_literal(!arguments.value("regex", false));
  options.set_case_sensitive(arguments.value("case_sensitive", true));
  options.set_max_mem(8 << 20);
  auto regex = std::make_unique<RE2>(arguments["pattern"].get<std::string>(), options);
  if (!regex->ok()) {
    return tool::problem("the pattern is not a regular expression of RE2: " + regex->error());
  }
  return regex;
}

std::string shown_line(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.size() <= kMaxLine) return std::string(line);
  return std::string(utf8::prefix(line, kMaxLine)) + "...";
}

class FsSearch : public FileTool {
 public:
  FsSearch(Executor& executor, const Clock& clock, int64_t timeout_ms)
      : FileTool(executor), clock_(clock), timeout_ms_(timeout_ms) {}

  service::v1::ToolInfo info() const override {
    service::v1::ToolInfo info;
    info.set_name("fs.search");
    info.set_description(
        "Searches the text files of the workspace for a text or a regular expression (RE2 syntax), "
        "line by line. Returns path, line number and line of each match.");
    info.set_input_schema_json(R"({
      "type": "object",
      "properties": {
        "pattern": {"type": "string", "minLength": 1, "maxLength": 1000},
        "regex": {"type": "boolean", "description": "Default false: a plain text."},
        "case_sensitive": {"type": "boolean", "description": "Default true."},
        "path": {"type": "string",
                 "description": "Directory to search; default: the workspace itself."},
        "glob": {"type": "string", "maxLength": 256,
                 "description": "Only files that match, such as *.cpp or src/*.h."},
        "max_results": {"type": "integer", "minimum": 1, "maximum": 1000,
                        "description": "Default 100."}
      },
      "required": ["pattern"],
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
    auto regex = compile(call.arguments);
    if (!regex.ok()) return regex.status();
    auto place = locate(call.roots, call.arguments.value("path", std::string(".")));
    if (!place.ok()) return place.status();
    auto directory = open_beneath(place->root.get(), place->relative, O_RDONLY | O_DIRECTORY);
    if (!directory.ok()) return directory.status();

    const auto most = call.arguments.value("max_results", size_t{100});
    const auto glob = call.arguments.value("glob", std::string());
    const int64_t end = clock_.mono_now() + timeout_ms_ * kNanosPerMilli;
    nlohmann::json matches = nlohmann::json::array();
    int64_t searched = 0;
    int64_t skipped = 0;
    bool late = false;
    WalkLimits limits;
    limits.depth = 32;
    auto complete = walk(std::move(*directory), limits, [&](const Entry& entry) {
      late = clock_.mono_now() >= end;
      if (late || call.cancelled->load()) return false;
      if (entry.type != 'f') return true;
      if (!glob.empty() && !glob_matches(glob, entry.path)) return true;
      if (entry.size > kMaxSearched || !search(entry, **regex, most, matches)) {
        ++skipped;
      } else {
        ++searched;
      }
      return matches.size() < most;
    });
    if (!complete.ok()) return complete.status();
    nlohmann::json result = {{"path", place->shown},
                             {"matches", std::move(matches)},
                             {"files_searched", searched},
                             {"files_skipped", skipped}};
    if (late) {
      result["stopped"] = "after " + std::to_string(timeout_ms_) + " ms; narrow path or glob";
    } else if (!*complete) {
      result["truncated"] = true;
    }
    return result;
  }

 private:
  // False if the file is not text or cannot be read.
  static bool search(const Entry& entry, const RE2& regex, size_t most, nlohmann::json& matches) {
    auto file = open_regular(entry.directory, entry.name, entry.path, O_NOFOLLOW);
    if (!file.ok()) return false;
    auto data = read_all(file->fd.get(), kMaxSearched, entry.path);
    if (!data.ok() || !is_text(*data)) return false;
    std::string_view rest = *data;
    for (int64_t number = 1; !rest.empty(); ++number) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      if (RE2::PartialMatch(re2::StringPiece(line.data(), line.size()), regex)) {
        matches.push_back({{"path", entry.path}, {"line", number}, {"text", shown_line(line)}});
        if (matches.size() >= most) break;
      }
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
    return true;
  }

  const Clock& clock_;
  const int64_t timeout_ms_;
};

}  // namespace

std::shared_ptr<tool::Tool> make_fs_search(Executor& executor, const Clock& clock,
                                           const Config& config) {
  return std::make_shared<FsSearch>(executor, clock, config.search_timeout_ms);
}

}  // namespace palyra::tools
