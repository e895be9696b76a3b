#include "plugins/journal/config.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace palyra::journal {

Result<Config> parse_config(std::string_view json) {
  Config config;
  if (json.empty()) return config;
  try {
    const auto root = nlohmann::json::parse(json);
    config.path = root.value("path", config.path);
    config.group_commit_max = root.value("group_commit_max", config.group_commit_max);
    config.readers = root.value("readers", config.readers);
    config.segments_dir = root.value("segments_dir", config.segments_dir);
    config.max_bytes = root.value("max_bytes", config.max_bytes);
    config.min_free_bytes = root.value("min_free_bytes", config.min_free_bytes);
    config.backup_dir = root.value("backup_dir", config.backup_dir);
    config.backups_keep = root.value("backups_keep", config.backups_keep);
    config.archive = root.value("archive", config.archive);
    config.archive_dir = root.value("archive_dir", config.archive_dir);
  } catch (const nlohmann::json::exception& error) {
    return Status(Code::kInvalidArgument, std::string("[storage]: ") + error.what(),
                  PALYRA_ERROR_USER_FAULT);
  }
  const auto invalid = [](std::string message) {
    return Status(Code::kInvalidArgument, std::move(message), PALYRA_ERROR_USER_FAULT);
  };
  if (config.group_commit_max < 1 || config.group_commit_max > 1000) {
    return invalid("[storage] group_commit_max must be 1 to 1000");
  }
  if (config.readers < 1 || config.readers > 16)
    return invalid("[storage] readers must be 1 to 16");
  for (const auto& [key, path] :
       {std::pair("path", &config.path), std::pair("backup_dir", &config.backup_dir),
        std::pair("archive_dir", &config.archive_dir)}) {
    if (!path->empty() && path->front() != '/') {
      return invalid(std::string("[storage] ") + key + " must be absolute, not \"" + *path + "\"");
    }
  }
  if (!config.segments_dir.empty() && config.segments_dir.front() != '/') {
    return invalid("[storage] segments_dir must be absolute, not \"" + config.segments_dir + "\"");
  }
  if (config.max_bytes != 0 && config.max_bytes < (4u << 20)) {
    return invalid("[storage] max_bytes must be 0 or at least 4194304");
  }
  return config;
}

}  // namespace palyra::journal
