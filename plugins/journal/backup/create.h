// Makes a backup of a store that is in use, or not.
#pragma once

#include "plugins/journal/backup/manifest.h"
#include "plugins/journal/sqlite/files.h"

#include <string>

namespace palyra::journal::backup {

struct CreateOptions {
  std::string store;      // path of the database
  std::string directory;  // made if absent
  std::string name;       // empty = the time
  int64_t wall_ms = 0;
  std::string segments = {};  // directory of archived segments; empty = none
};

// The name that a backup would get: the one given, or the time, with a number if it is taken.
// INVALID_ARGUMENT, ALREADY_EXISTS.
Result<std::string> free_name(const CreateOptions& options);

// A backup is there once its manifest is, under its name and synced; whatever happens before leaves
// files of another kind, which the next create removes. INVALID_ARGUMENT (name), ALREADY_EXISTS,
// RESOURCE_EXHAUSTED (room), and what the disk says. One at a time for a directory. Blocks.
Result<Manifest> create(const CreateOptions& options, const files::Progress& progress = {});

struct Pruned {
  std::vector<std::string> backups;  // names
  uint64_t logs = 0;
};

// Removes all but the newest `keep` backups (1 or more), and the archived logs that none of those
// that stay needs. An empty `archive` = there is none.
Result<Pruned> prune(const std::string& directory, size_t keep, const std::string& archive = "");

}  // namespace palyra::journal::backup
