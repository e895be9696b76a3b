// The system's files, but a pass over the database reads it in large pieces.
#pragma once

#include "plugins/journal/sqlite/database.h"

namespace palyra::journal::sqlite {

// Name of an SQLite VFS that is log_vfs(), except that the database file can be read ahead: SQLite
// asks for a page at a time, and a system call for each 4 KiB costs a verification of small records
// a fifth of its time. Not a mapping, in which a damaged disk or a truncated file would be a signal
// instead of an error. Registered at the first call. [any]
const char* read_ahead_vfs();

// While it lives, pages of `db` that are read one behind the other come from a piece of kReadAhead
// bytes; others are read alone. At most one read transaction may be begun in its life: what was
// read ahead is right for the state that the transaction sees, because a checkpoint leaves what a
// reader does not see to the log, and for no later one. Does nothing for a connection without
// read_ahead_vfs(). On the connection's thread.
class ReadAhead {
 public:
  explicit ReadAhead(Database& db);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;

 private:
  Database& db_;
};

constexpr int kReadAhead = 128 << 10;

}  // namespace palyra::journal::sqlite
