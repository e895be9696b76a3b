// The rows of table `segment`.
#pragma once

#include "plugins/journal/segment.h"
#include "plugins/journal/sqlite/database.h"

#include <string>
#include <vector>

namespace palyra::journal::sqlite {

// The segments of a stream in order, without `blobs`. Inside a transaction if rows are read too.
Result<std::vector<SegmentRow>> segments_of(Database& db, Statement& find, int64_t stream);
// What `find` is prepared from.
inline constexpr char kFindSegments[] =
    "SELECT first_seq, last_seq, prev_hash, last_hash, digest, file_bytes FROM segment WHERE "
    "stream=? ORDER BY first_seq";

}  // namespace palyra::journal::sqlite
