// From a backup to a later state, by the archived logs.
#pragma once

#include "palyra/status.hpp"
#include "plugins/journal/backup/target.h"

#include <cstdint>
#include <string>

namespace palyra::journal::backup {

// Where a store is.
struct Place {
  uint64_t position = 0;
  int64_t newest_wall_ns = 0;  // the greatest stamp of a record
};

// Of a database that nobody has open.
Result<Place> place_of(const std::string& database);

// Where a backup stands in the logs, as its manifest has it.
struct LogPlace {
  std::string salt;     // 8 bytes: the first log to replay; empty = none
  int64_t frames = -1;  // of it that are in the backup already, at most; -1 = not known
};

struct Rolled {
  Place place;
  // What kLatest did not reach and why, a sentence; empty = nothing is known to lack.
  std::string lacks;
};

// Brings `database`, a copy of a backup without a log, to the target: whole logs first, then the
// last one up to the end of the last transaction that belongs to the target. The result has no log
// and is never older than the backup: where the archive ends before it, nothing is replayed.
// OUT_OF_RANGE (the target is before the backup or behind the archive; the sentence says what is
// possible), NOT_FOUND (the archive does not follow the backup), DATA_LOSS. On failure `database`
// is in an unknown state. Blocks.
Result<Rolled> roll_forward(const std::string& database, const std::string& archive,
                            const LogPlace& from, const Target& target);

// Why the archive does not lead from a backup to what `store` holds now; empty = it does.
std::string broken_way(const std::string& archive, const std::string& store, const LogPlace& from);

// "2026-01-31T12:00:05.123Z".
std::string utc(int64_t wall_ns);

}  // namespace palyra::journal::backup
