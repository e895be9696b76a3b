// What a restore is to reach.
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
    kTime,      // no record is stamped in a later millisecond than `wall_ns`
  };
  Kind kind = Kind::kBackup;
  uint64_t position = 0;
  int64_t wall_ns = 0;
};

// As a person writes it; INVALID_ARGUMENT says how to. Positions begin at 1.
Result<Target> position_target(const std::string& text);
// "2026-01-31T12:00:05Z" in UTC, "2026-01-31 12:00:05", "2026-01-31 12:00" or "2026-01-31" here;
// fractions may follow the seconds. 1970 to 2261.
Result<Target> time_target(const std::string& text);

// Ends a refusal of a time.
constexpr char kClock[] =
    "; the clock may have been ahead: --to-position goes to a position of \"palyra backup list\" "
    "or "
    "later, whatever the clock was";

}  // namespace palyra::journal::backup
