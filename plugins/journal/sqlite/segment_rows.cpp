#include "plugins/journal/sqlite/segment_rows.h"

#include <sqlite3.h>

namespace palyra::journal::sqlite {

Result<std::vector<SegmentRow>> segments_of(Database& db, Statement& find, int64_t stream) {
  std::vector<SegmentRow> rows;
  int code = find.bind(1, stream).step();
  for (; code == SQLITE_ROW; code = find.step()) {
    SegmentRow& row = rows.emplace_back();
    row.first_seq = find.unsigned_integer(0);
    row.last_seq = find.unsigned_integer(1);
    row.prev_hash = std::string(find.bytes(2));
    row.last_hash = std::string(find.bytes(3));
    row.digest = std::string(find.bytes(4));
    row.file_bytes = find.unsigned_integer(5);
  }
  if (code != SQLITE_DONE) return db.status(code);
  return rows;
}

}  // namespace palyra::journal::sqlite
