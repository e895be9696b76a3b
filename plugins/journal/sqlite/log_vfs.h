// The system's files, but what is appended to a write-ahead log goes to it in few pieces.
#pragma once

namespace palyra::journal::sqlite {

// Name of an SQLite VFS that is wipe_vfs(), except that frames written to a write-ahead log
// wait in memory until the log is synced, read or measured; then few system calls write them all.
// SQLite writes a header and a page for each frame, each by a call of its own: a commit of 20 pages
// is 40 of them.
//
// Safe because every connection here is `synchronous=FULL`: SQLite tells readers of a commit's
// frames after the sync, and the sync is after the write. A write that fails is reported by the
// sync, and the commit fails as it would have. Registered at the first call. [any]
const char* log_vfs();

// The most that waits, bytes; more is written before.
constexpr int kLogBuffer = 1 << 20;

}  // namespace palyra::journal::sqlite
