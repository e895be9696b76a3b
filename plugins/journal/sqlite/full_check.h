// Whether a store is what was once written: its pages, every chain, every blob.
#pragma once

#include "palyra/status.hpp"
#include "plugins/journal/sqlite/database.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace palyra::journal::sqlite {

struct CheckResult {
  uint64_t position = 0;  // where the store was when the check began
  uint64_t streams = 0;
  uint64_t records = 0;
  uint64_t erased = 0;
  uint64_t blobs = 0;
  // Empty, or the first thing that is wrong: "record 3 of run/x: hash mismatch".
  std::string damage;
};

struct CheckOptions {
  // Pages and indexes in full (integrity_check) rather than without comparing each index with its
  // table (quick_check).
  bool thorough = false;
  // Called between slices of some milliseconds with the records looked at and those there are;
  // false = stop. `may_sleep`: no transaction is open, so that sleeping holds nothing up.
  std::function<bool(uint64_t done, uint64_t total, bool may_sleep)> pace;
};

// `db` is the check's own connection. Damage is a result, not an error; errors are CANCELLED and
// what the disk says. Records that come while it runs are not looked at. Blocks.
Result<CheckResult> check_store(std::unique_ptr<Database> db, const CheckOptions& options);

// The newest `count` records by position, or fewer if they hold more than `bytes` of payload: each
// is what was hashed and follows the one before it in its stream. OK, or DATA_LOSS naming the
// record. Some milliseconds for 1,000 records or 4 MiB.
Status check_newest(Database& db, uint64_t count, uint64_t bytes);

}  // namespace palyra::journal::sqlite
