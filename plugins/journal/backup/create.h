// Makes a backup of a store that is in use, or not.
#pragma once

#include "plugins/journal/backup/manifest.h"
#include "plugins/journal/sqlite/files.h"

#include <string>
#include <vector>

namespace palyra::journal::backup {

struct CreateOptions {
  std::string store;      // path of the database
  std::string directory;  // made if absent
  std::string name;       // empty = the time
  int64_t wall_ms = 0;
  std::string segments = {};  // directory of archived segments; empty = none
  // Bytes that stay free where the store is, if the backup is made on the same disk.
  uint64_t reserve = 0;
};

// The name that a backup would get: the one given, or the time, with a number if it is taken.
// INVALID_ARGUMENT, ALREADY_EXISTS.
Result<std::string> free_name(const CreateOptions& options);

// A backup is there once its manifest is, under its name and synced; whatever happens before leaves
// files of another kind, which the next create removes. It is younger than all that are there, also
// if the clock was set back. Progress is of all that is read, several times if need be. `missing`
// gets the archived segments that could not be copied. INVALID_ARGUMENT (name), ALREADY_EXISTS,
// FAILED_PRECONDITION (as check_apart(); another process makes or removes backups there),
// RESOURCE_EXHAUSTED (room), CANCELLED, and what the disk says. Blocks.
Result<Manifest> create(const CreateOptions& options, const files::Progress& progress = {},
                        std::vector<std::string>* missing = nullptr);

struct Pruned {
  std::vector<std::string> backups;  // names
  uint64_t logs = 0;
  // As list_backups() tells. If there are any, no archived segment and no log was removed: one of
  // these may need it.
  std::vector<std::string> unreadable;
};

// Removes all but the newest `keep` backups (1 or more), and the archived segments and logs that
// none of those that stay needs. `archive`: of logs, empty = there is none; `segments`: of the
// store itself, empty = there is no store. FAILED_PRECONDITION as create(). DATA_LOSS if one that
// would stay is not whole at first sight: nothing is removed.
Result<Pruned> prune(const std::string& directory, size_t keep, const std::string& archive = "",
                     const std::string& segments = "");

}  // namespace palyra::journal::backup
