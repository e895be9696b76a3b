#include "plugins/journal/sqlite/read_ahead.h"

#include "plugins/journal/sqlite/log_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

namespace palyra::journal::sqlite {
namespace {

// SQLite's own are below 100.
constexpr int kSwitch = 0x50'41;

// The two pieces of a file that were read last. Nothing is held while it is off.
class Pieces {
 public:
  explicit Pieces(sqlite3_file* file) : file_(file) {}

  void turn(bool on) {
    for (Piece& piece : pieces_)
      piece.bytes.reset(on ? new (std::nothrow) char[kReadAhead] : nullptr);
    forget();
  }
  void forget() {
    for (Piece& piece : pieces_) piece.start = piece.end = 0;
    alone_ = -1;
  }

  int read(void* out, int size, sqlite3_int64 offset) {
    if (pieces_[0].bytes == nullptr || pieces_[1].bytes == nullptr || size > kReadAhead) {
      return read_file(out, size, offset);
    }
    const Piece* piece = nullptr;
    for (const Piece& one : pieces_) {
      if (offset >= one.start && offset + size <= one.end) piece = &one;
    }
    if (piece == nullptr) piece = fill(size, offset);
    if (piece == nullptr) {
      alone_ = offset;
      return read_file(out, size, offset);
    }
    std::memcpy(out, piece->bytes.get() + (offset - piece->start), static_cast<size_t>(size));
    return SQLITE_OK;
  }

 private:
  struct Piece {
    std::unique_ptr<char[]> bytes;
    sqlite3_int64 start = 0;
    sqlite3_int64 end = 0;
  };

  // Two tables grow side by side: the next page of a pass is seldom the very next one, and may lie
  // in the piece before.
  static bool within(sqlite3_int64 offset, sqlite3_int64 behind) {
    return offset >= behind && offset < behind + kReadAhead;
  }
  int read_file(void* out, int size, sqlite3_int64 offset) {
    return file_->pMethods->xRead(file_, out, size, offset);
  }
  // Null where no pass leads and where the file cannot be read: the page alone then says why.
  const Piece* fill(int size, sqlite3_int64 offset) {
    const sqlite3_int64 newest = pieces_[newest_].end;
    if (!(newest > 0 && within(offset, newest)) && !(alone_ >= 0 && within(offset, alone_))) {
      return nullptr;
    }
    sqlite3_int64 file_end = 0;
    if (file_->pMethods->xFileSize(file_, &file_end) != SQLITE_OK) return nullptr;
    const sqlite3_int64 there = std::min<sqlite3_int64>(kReadAhead, file_end - offset);
    if (there < size) return nullptr;
    newest_ = 1 - newest_;
    Piece& piece = pieces_[newest_];
    const bool read = read_file(piece.bytes.get(), static_cast<int>(there), offset) == SQLITE_OK;
    piece.start = offset;
    piece.end = read ? offset + there : offset;
    return read ? &piece : nullptr;
  }

  sqlite3_file* const file_;
  Piece pieces_[2];
  int newest_ = 0;
  sqlite3_int64 alone_ = -1;  // the last page that was read without a piece
};

// A database as SQLite sees it; the real file lies behind it in the same memory.
struct AheadFile {
  sqlite3_file base;
  sqlite3_file* real;
  Pieces* pieces;
};

AheadFile* ahead(sqlite3_file* file) { return reinterpret_cast<AheadFile*>(file); }

sqlite3_vfs* next_vfs() {
  static sqlite3_vfs* const vfs = sqlite3_vfs_find(log_vfs());
  return vfs;
}

template <auto Method, typename... Arguments>
auto pass_on(sqlite3_file* file, Arguments... arguments) {
  AheadFile* const self = ahead(file);
  return (self->real->pMethods->*Method)(self->real, arguments...);
}
// Changes the file: what was read of it is forgotten.
template <auto Method, typename... Arguments>
int change(sqlite3_file* file, Arguments... arguments) {
  ahead(file)->pieces->forget();
  return pass_on<Method>(file, arguments...);
}

int close_file(sqlite3_file* file) {
  delete ahead(file)->pieces;
  return ahead(file)->real->pMethods->xClose(ahead(file)->real);
}

int read_piece(sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
  return ahead(file)->pieces->read(out, size, offset);
}

int control(sqlite3_file* file, int operation, void* argument) {
  if (operation != kSwitch) {
    return ahead(file)->real->pMethods->xFileControl(ahead(file)->real, operation, argument);
  }
  ahead(file)->pieces->turn(*static_cast<const bool*>(argument));
  return SQLITE_OK;
}

using Methods = sqlite3_io_methods;

constexpr Methods kAheadMethods = {
    .iVersion = 2,
    .xClose = &close_file,
    .xRead = &read_piece,
    .xWrite = &change<&Methods::xWrite, const void*, int, sqlite3_int64>,
    .xTruncate = &change<&Methods::xTruncate, sqlite3_int64>,
    .xSync = &pass_on<&Methods::xSync, int>,
    .xFileSize = &pass_on<&Methods::xFileSize, sqlite3_int64*>,
    .xLock = &pass_on<&Methods::xLock, int>,
    .xUnlock = &pass_on<&Methods::xUnlock, int>,
    .xCheckReservedLock = &pass_on<&Methods::xCheckReservedLock, int*>,
    .xFileControl = &control,
    .xSectorSize = &pass_on<&Methods::xSectorSize>,
    .xDeviceCharacteristics = &pass_on<&Methods::xDeviceCharacteristics>,
    .xShmMap = &pass_on<&Methods::xShmMap, int, int, int, void volatile**>,
    .xShmLock = &pass_on<&Methods::xShmLock, int, int, int>,
    .xShmBarrier = &pass_on<&Methods::xShmBarrier>,
    .xShmUnmap = &pass_on<&Methods::xShmUnmap, int>,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int open_ahead(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* file, int flags, int* out_flags) {
  sqlite3_vfs* const next = next_vfs();
  if ((flags & SQLITE_OPEN_MAIN_DB) == 0) return next->xOpen(next, name, file, flags, out_flags);
  AheadFile* const self = ahead(file);
  self->base.pMethods = nullptr;
  self->real = reinterpret_cast<sqlite3_file*>(self + 1);
  self->real->pMethods = nullptr;
  const int code = next->xOpen(next, name, self->real, flags, out_flags);
  if (code != SQLITE_OK) {
    // An open that failed may still have to be closed; SQLite sees no methods and will not do it.
    if (self->real->pMethods != nullptr) self->real->pMethods->xClose(self->real);
    return code;
  }
  self->pieces = new (std::nothrow) Pieces(self->real);
  if (self->pieces == nullptr) {
    self->real->pMethods->xClose(self->real);
    return SQLITE_NOMEM;
  }
  self->base.pMethods = &kAheadMethods;
  return SQLITE_OK;
}

// There for as long as this module is loaded.
class Registration {
 public:
  Registration() {
    if (next_vfs() == nullptr) return;
    vfs_ = *next_vfs();
    vfs_.pNext = nullptr;
    vfs_.zName = "palyra-ahead";
    vfs_.szOsFile = static_cast<int>(sizeof(AheadFile)) + next_vfs()->szOsFile;
    vfs_.xOpen = &open_ahead;
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~Registration() { sqlite3_vfs_unregister(&vfs_); }
  const char* name() const { return vfs_.zName; }

 private:
  sqlite3_vfs vfs_{};
};

void turn(Database& db, bool on) {
  // NOTFOUND from another VFS.
  (void)sqlite3_file_control(db.raw(), "main", kSwitch, &on);
}

}  // namespace

const char* read_ahead_vfs() {
  static const Registration registration;
  return registration.name();
}

ReadAhead::ReadAhead(Database& db) : db_(db) { turn(db_, true); }
ReadAhead::~ReadAhead() { turn(db_, false); }

}  // namespace palyra::journal::sqlite
