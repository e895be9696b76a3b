#include "plugins/journal/sqlite/read_ahead.h"

#include "plugins/journal/sqlite/log_vfs.h"
#include "plugins/journal/sqlite/vfs_layer.h"

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

using AheadFile = LayerFile<Pieces>;

sqlite3_vfs* next_vfs() {
  static sqlite3_vfs* const vfs = sqlite3_vfs_find(log_vfs());
  return vfs;
}

// Changes the file: what was read of it is forgotten.
template <auto Method, typename... Arguments>
int change(sqlite3_file* file, Arguments... arguments) {
  AheadFile::of(file)->state->forget();
  return AheadFile::pass<Method>(file, arguments...);
}

int read_piece(sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
  return AheadFile::of(file)->state->read(out, size, offset);
}

int control(sqlite3_file* file, int operation, void* argument) {
  if (operation != kSwitch) {
    return AheadFile::pass<&sqlite3_io_methods::xFileControl>(file, operation, argument);
  }
  AheadFile::of(file)->state->turn(*static_cast<const bool*>(argument));
  return SQLITE_OK;
}

using Methods = sqlite3_io_methods;

constexpr Methods kAheadMethods = [] {
  Methods methods = AheadFile::methods();
  methods.xRead = &read_piece;
  methods.xWrite = &change<&Methods::xWrite, const void*, int, sqlite3_int64>;
  methods.xTruncate = &change<&Methods::xTruncate, sqlite3_int64>;
  methods.xFileControl = &control;
  return methods;
}();

int open_ahead(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* file, int flags, int* out_flags) {
  return AheadFile::open(next_vfs(), SQLITE_OPEN_MAIN_DB, &kAheadMethods, name, file, flags,
                         out_flags);
}

void turn(Database& db, bool on) {
  // NOTFOUND from another VFS.
  (void)sqlite3_file_control(db.raw(), "main", kSwitch, &on);
}

}  // namespace

const char* read_ahead_vfs() {
  // There for as long as this module is loaded.
  static const VfsLayer layer("palyra-ahead", next_vfs(), sizeof(AheadFile), &open_ahead);
  return layer.name();
}

ReadAhead::ReadAhead(Database& db) : db_(db) { turn(db_, true); }
ReadAhead::~ReadAhead() { turn(db_, false); }

}  // namespace palyra::journal::sqlite
