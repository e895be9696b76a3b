// One state of a store as a file of its own, while others write.
#pragma once

#include "palyra/status.hpp"
#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/sqlite/files.h"

#include <cstdint>
#include <string>

namespace palyra::journal::sqlite {

// What the copy holds.
struct SnapshotFacts {
  int64_t schema_version = 0;
  uint64_t position = 0;
  uint64_t streams = 0;
  // As newest_stamp().
  int64_t newest_wall_ns = 0;
  // Hash of the last record of stream `audit`, 32 bytes; empty if there is none.
  std::string audit_head;
  // The two salts of the log that was in use when the copy began, 8 bytes: replaying logs from that
  // one on leads from this copy to any later state. Empty if there was none.
  std::string log_salt;
  // Frames of that log: the copy is not of a later state. A log that is replayed in part must have
  // at least so many, or it takes pages back behind the copy. -1 if there was no log.
  int64_t log_frames = -1;
};

// The greatest stamp of the last 1,000 records, ns: a clock that once was ahead is forgotten. 0 =
// no record.
Result<int64_t> newest_stamp(Database& db);

// Of a store that nobody else writes, or within a transaction; nothing of its log.
Result<SnapshotFacts> facts_of(Database& db);

// Copies the store at `from` page by page to the new file `to`, which is a database without a log,
// mode 0600, synced. The copy is one state, the one at its beginning: it holds a read transaction,
// so that writers do not make it begin anew, and they are never stopped. While it lasts the log of
// the store cannot begin anew and grows by what is written. On failure `to` is removed. Blocks.
Result<SnapshotFacts> copy_snapshot(const std::string& from, const std::string& to,
                                    const files::Progress& progress = {});

}  // namespace palyra::journal::sqlite
