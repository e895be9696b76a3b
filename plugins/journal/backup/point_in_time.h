// From a backup to a later state, by the archived logs.
#pragma once

#include "palyra/status.hpp"

#include <cstdint>
#include <string>

namespace palyra::journal::backup {

struct Target {
  enum class Kind {
    kBackup,    // the state of the backup
    kLatest,    // the end of the archive
    kPosition,  // `position` is the newest record's at most
    kTime,      // no record is stamped later than `wall_ns`
  };
  Kind kind = Kind::kBackup;
  uint64_t position = 0;
  int64_t wall_ns = 0;
};

// Where a store is.
struct Place {
  uint64_t position = 0;
  int64_t newest_wall_ns = 0;  // the greatest stamp of a record
};

// Of a database that nobody has open.
Result<Place> place_of(const std::string& database);

// Brings `database`, a copy of a backup without a log, to the target: whole logs first, then the
// last one up to the end of the last transaction that belongs to the target. `log_salt` (8 bytes)
// names the first log. The result has no log. OUT_OF_RANGE (the target is before the backup or
// behind the archive; the sentence says what is possible), NOT_FOUND (the archive does not follow
// the backup), DATA_LOSS. On failure `database` is in an unknown state. Blocks.
Result<Place> roll_forward(const std::string& database, const std::string& archive,
                           const std::string& log_salt, const Target& target);

// "2026-01-31T12:00:05.123Z".
std::string utc(int64_t wall_ns);

}  // namespace palyra::journal::backup
