#include "plugins/journal/sqlite/log_vfs.h"

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

// A log as SQLite sees it; the real file lies behind it in the same memory.
struct LogFile {
  sqlite3_file base;
  sqlite3_file* real;
  Waiting* waiting;
};

LogFile* log(sqlite3_file* file) { return reinterpret_cast<LogFile*>(file); }

sqlite3_vfs* system_vfs() {
  static sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
  return vfs;
}

// Sends what waits, then does the same to the real file.
template <auto Method, typename... Arguments>
int after_send(sqlite3_file* file, Arguments... arguments) {
  LogFile* const self = log(file);
  if (const int code = self->waiting->send(); code != SQLITE_OK) return code;
  return (self->real->pMethods->*Method)(self->real, arguments...);
}
template <auto Method, typename... Arguments>
int pass(sqlite3_file* file, Arguments... arguments) {
  LogFile* const self = log(file);
  return (self->real->pMethods->*Method)(self->real, arguments...);
}

int close_log(sqlite3_file* file) {
  LogFile* const self = log(file);
  const int sent = self->waiting->send();
  delete self->waiting;
  const int code = self->real->pMethods->xClose(self->real);
  return sent != SQLITE_OK ? sent : code;
}

int write_log(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  return log(file)->waiting->write(data, size, offset);
}

using Methods = sqlite3_io_methods;

constexpr Methods kLogMethods = {
    .iVersion = 1,
    .xClose = &close_log,
    .xRead = &after_send<&Methods::xRead, void*, int, sqlite3_int64>,
    .xWrite = &write_log,
    .xTruncate = &after_send<&Methods::xTruncate, sqlite3_int64>,
    .xSync = &after_send<&Methods::xSync, int>,
    .xFileSize = &after_send<&Methods::xFileSize, sqlite3_int64*>,
    .xLock = &pass<&Methods::xLock, int>,
    .xUnlock = &pass<&Methods::xUnlock, int>,
    .xCheckReservedLock = &pass<&Methods::xCheckReservedLock, int*>,
    .xFileControl = &pass<&Methods::xFileControl, int, void*>,
    .xSectorSize = &pass<&Methods::xSectorSize>,
    .xDeviceCharacteristics = &pass<&Methods::xDeviceCharacteristics>,
    .xShmMap = nullptr,
    .xShmLock = nullptr,
    .xShmBarrier = nullptr,
    .xShmUnmap = nullptr,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int open_file(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* file, int flags, int* out_flags) {
  sqlite3_vfs* const real = system_vfs();
  if ((flags & SQLITE_OPEN_WAL) == 0) return real->xOpen(real, name, file, flags, out_flags);
  LogFile* const self = log(file);
  self->base.pMethods = nullptr;
  self->real = reinterpret_cast<sqlite3_file*>(self + 1);
  self->real->pMethods = nullptr;
  const int code = real->xOpen(real, name, self->real, flags, out_flags);
  if (code != SQLITE_OK) {
    // An open that failed may still have to be closed; SQLite sees no methods and will not do it.
    if (self->real->pMethods != nullptr) self->real->pMethods->xClose(self->real);
    return code;
  }
  self->waiting = new (std::nothrow) Waiting(self->real);
  if (self->waiting == nullptr) {
    self->real->pMethods->xClose(self->real);
    return SQLITE_NOMEM;
  }
  self->base.pMethods = &kLogMethods;
  return SQLITE_OK;
}

// There for as long as this module is loaded.
class Registration {
 public:
  Registration() {
    if (system_vfs() == nullptr) return;
    vfs_ = *system_vfs();
    vfs_.pNext = nullptr;
    vfs_.zName = "palyra-log";
    vfs_.szOsFile = static_cast<int>(sizeof(LogFile)) + system_vfs()->szOsFile;
    vfs_.xOpen = &open_file;
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~Registration() { sqlite3_vfs_unregister(&vfs_); }
  const char* name() const { return vfs_.zName; }

 private:
  sqlite3_vfs vfs_{};
};

}  // namespace

const char* log_vfs() {
  static const Registration registration;
  return registration.name();
}

}  // namespace palyra::journal::sqlite
