#include "plugins/journal/sqlite/log_vfs.h"

#include "plugins/journal/sqlite/vfs_layer.h"
#include "plugins/journal/sqlite/wipe_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <new>
#include <string>

namespace palyra::journal::sqlite {
namespace {

// What waits for a log. Frames are contiguous: a write elsewhere sends away what waits first.
class Waiting {
 public:
  explicit Waiting(sqlite3_file* file) : file_(file) {}

  int write(const void* data, int size, sqlite3_int64 offset) {
    const auto* const bytes = static_cast<const char*>(data);
    const bool follows = offset == start_ + static_cast<sqlite3_int64>(bytes_.size());
    if (!bytes_.empty() && (!follows || bytes_.size() + static_cast<size_t>(size) > kLogBuffer)) {
      if (const int code = send(); code != SQLITE_OK) return code;
    }
    if (bytes_.empty()) start_ = offset;
    try {
      bytes_.append(bytes, static_cast<size_t>(size));
    } catch (const std::bad_alloc&) {
      return SQLITE_NOMEM;
    }
    return SQLITE_OK;
  }

  int send() {
    int code = SQLITE_OK;
    for (size_t at = 0; at < bytes_.size() && code == SQLITE_OK; at += kPiece) {
      const size_t size = std::min(kPiece, bytes_.size() - at);
      code = file_->pMethods->xWrite(file_, bytes_.data() + at, static_cast<int>(size),
                                     start_ + static_cast<sqlite3_int64>(at));
    }
    // Also after a failure: the commit fails, and its frames will not be asked for.
    bytes_.clear();
    return code;
  }

 private:
  // SQLite's own files take less than 128 KiB at once.
  static constexpr size_t kPiece = 64 * 1024;

  sqlite3_file* const file_;
  std::string bytes_;
  sqlite3_int64 start_ = 0;
};

using LogFile = LayerFile<Waiting>;

sqlite3_vfs* next_vfs() {
  static sqlite3_vfs* const vfs = sqlite3_vfs_find(wipe_vfs());
  return vfs;
}

// Sends what waits, then does the same to the real file.
template <auto Method, typename... Arguments>
int after_send(sqlite3_file* file, Arguments... arguments) {
  if (const int code = LogFile::of(file)->state->send(); code != SQLITE_OK) return code;
  return LogFile::pass<Method>(file, arguments...);
}

int close_log(sqlite3_file* file) {
  const int sent = LogFile::of(file)->state->send();
  const int code = LogFile::close(file);
  return sent != SQLITE_OK ? sent : code;
}

int write_log(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  return LogFile::of(file)->state->write(data, size, offset);
}

using Methods = sqlite3_io_methods;

constexpr Methods kLogMethods = [] {
  Methods methods = LogFile::methods();
  methods.xClose = &close_log;
  methods.xRead = &after_send<&Methods::xRead, void*, int, sqlite3_int64>;
  methods.xWrite = &write_log;
  methods.xTruncate = &after_send<&Methods::xTruncate, sqlite3_int64>;
  methods.xSync = &after_send<&Methods::xSync, int>;
  methods.xFileSize = &after_send<&Methods::xFileSize, sqlite3_int64*>;
  return methods;
}();

int open_file(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* file, int flags, int* out_flags) {
  return LogFile::open(next_vfs(), SQLITE_OPEN_WAL, &kLogMethods, name, file, flags, out_flags);
}

}  // namespace

const char* log_vfs() {
  // There for as long as this module is loaded.
  static const VfsLayer layer("palyra-log", next_vfs(), sizeof(LogFile), &open_file);
  return layer.name();
}

}  // namespace palyra::journal::sqlite
