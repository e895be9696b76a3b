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
};

// A backup is there once its manifest is, under its name and synced; whatever happens before leaves
// files of another kind, which the next create removes. INVALID_ARGUMENT (name), ALREADY_EXISTS,
// RESOURCE_EXHAUSTED (room), and what the disk says. One at a time for a directory. Blocks.
Result<Manifest> create(const CreateOptions& options, const files::Progress& progress = {});

// Removes all but the newest `keep` backups, which must be 1 or more. The names removed.
Result<std::vector<std::string>> prune(const std::string& directory, size_t keep);

}  // namespace palyra::journal::backup
