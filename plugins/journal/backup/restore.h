// Looks at backups, and brings one back. No daemon is needed, and a restore wants none.
#pragma once

#include "plugins/journal/backup/manifest.h"
#include "plugins/journal/backup/point_in_time.h"
#include "plugins/journal/sqlite/files.h"
#include "plugins/journal/sqlite/full_check.h"

#include <functional>
#include <string>
#include <vector>

namespace palyra::journal::backup {

// What it is at and how far. False = stop.
using Steps = std::function<bool(const char* what, uint64_t done, uint64_t total)>;

struct Verified {
  Manifest manifest;
  sqlite::CheckResult check;
};

// That the file is the one its manifest describes, of a known schema, and that every page, chain
// and blob in it is whole. DATA_LOSS says what is not; the backup is never changed. Blocks.
Result<Verified> verify(const std::string& file, const Steps& steps = {});

struct RestoreOptions {
  std::string store;          // path of the database to be
  std::string file;           // the backup
  std::string archive;        // of logs; needed unless the target is the backup itself
  std::string segments = {};  // of the store to be; empty = segments/ beside it
  Target target;
  bool force = false;  // put a store that is there aside
  int64_t wall_ns = 0;
};

struct Restored {
  Place place;
  sqlite::CheckResult check;
  uint64_t runs = 0;
  std::string lacks;  // what was asked for and is not there, a sentence; empty = nothing
  // Files of archived segments that are neither with the store nor with the backup: their streams
  // begin later until somebody brings them.
  std::vector<std::string> missing_segments;
  std::string segments;  // where they belong
  std::string aside;     // where the store that was there is now; empty = there was none
};

// Builds the restored store beside the old one, verifies it, and only then gives it its name;
// whatever fails before leaves all as it was. No token of a lease that was ever given out is valid
// in it. FAILED_PRECONDITION: a daemon has the store open (named), or there is a store and no
// `force`. Otherwise as verify() and roll_forward(). Blocks.
Result<Restored> restore(const RestoreOptions& options, const Steps& steps = {});

// Takes away what a restore that was killed has left beside the store. The caller has it locked.
void remove_draft(const std::string& store);

}  // namespace palyra::journal::backup
