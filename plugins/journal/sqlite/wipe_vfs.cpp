#include "plugins/journal/sqlite/wipe_vfs.h"

#include "plugins/journal/sqlite/schema.h"
#include "plugins/journal/sqlite/vfs_layer.h"

#include <sqlite3.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace palyra::journal::sqlite {
namespace {

constexpr int kPage = static_cast<int>(kPageSize);
// Of the database, before the B-tree page that the first page is.
constexpr int kFileHeader = 100;

// Whether the page at `offset` maps others to their parents: the second, and each behind as many
// as one has entries of five bytes. The page with SQLite's lock bytes, never written, is passed
// over.
bool is_pointer_map(sqlite3_int64 offset) {
  constexpr sqlite3_int64 kGroup = kPage / 5 + 1;
  constexpr sqlite3_int64 kLockPage = (1 << 30) / kPage + 1;
  const sqlite3_int64 number = offset / kPage + 1;
  if (number < 2) return false;
  sqlite3_int64 map = (number - 2) / kGroup * kGroup + 2;
  if (map == kLockPage) ++map;
  return number == map;
}

struct Space {
  int begin = 0;
  int end = 0;
};

// The unallocated space of the page at `offset`; none for one that is no B-tree's or is damaged.
Space unallocated(const uint8_t* page, sqlite3_int64 offset) {
  const int header = offset == 0 ? kFileHeader : 0;
  const uint8_t kind = page[header];
  const bool leaf = kind == 10 || kind == 13;
  if ((!leaf && kind != 2 && kind != 5) || is_pointer_map(offset)) return {};
  const auto number = [&](int at) { return page[header + at] << 8 | page[header + at + 1]; };
  const int cells = number(3);
  const Space space{header + (leaf ? 8 : 12) + 2 * cells, number(5)};
  return space.begin < space.end && space.end <= kPage ? space : Space{};
}

class Wiped {
 public:
  explicit Wiped(sqlite3_file* file) : file_(file) {}

  int write(const void* data, int size, sqlite3_int64 offset) {
    return file_->pMethods->xWrite(file_, wiped(data, size, offset), size, offset);
  }
  int sync(int flags) {
    measured_ = false;
    return file_->pMethods->xSync(file_, flags);
  }

 private:
  // Measured once for all pages between two syncs, which a checkpoint has.
  bool is_small() {
    if (!measured_) {
      sqlite3_int64 bytes = 0;
      small_ = file_->pMethods->xFileSize(file_, &bytes) == SQLITE_OK && bytes < kMostWiped;
      measured_ = true;
    }
    return small_;
  }
  const void* wiped(const void* data, int size, sqlite3_int64 offset) {
    if (size != kPage || offset % kPage != 0 || offset >= kMostWiped) return data;
    const auto* const page = static_cast<const uint8_t*>(data);
    const Space space = unallocated(page, offset);
    if (space.begin == space.end || !is_small()) return data;
    // SQLite's page is not ours to change.
    std::memcpy(page_.data(), page, static_cast<size_t>(space.begin));
    std::memset(page_.data() + space.begin, 0, static_cast<size_t>(space.end - space.begin));
    std::memcpy(page_.data() + space.end, page + space.end, static_cast<size_t>(kPage - space.end));
    return page_.data();
  }

  sqlite3_file* const file_;
  bool measured_ = false;
  bool small_ = false;
  std::array<uint8_t, kPageSize> page_;
};

using WipedFile = LayerFile<Wiped>;

sqlite3_vfs* system_vfs() {
  static sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
  return vfs;
}

int write_wiped(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  return WipedFile::of(file)->state->write(data, size, offset);
}

int sync_wiped(sqlite3_file* file, int flags) { return WipedFile::of(file)->state->sync(flags); }

constexpr sqlite3_io_methods kWipedMethods = [] {
  sqlite3_io_methods methods = WipedFile::methods();
  methods.xWrite = &write_wiped;
  methods.xSync = &sync_wiped;
  return methods;
}();

int open_wiped(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* file, int flags, int* out_flags) {
  return WipedFile::open(system_vfs(), SQLITE_OPEN_MAIN_DB, &kWipedMethods, name, file, flags,
                         out_flags);
}

}  // namespace

const char* wipe_vfs() {
  // There for as long as this module is loaded.
  static const VfsLayer layer("palyra-wipe", system_vfs(), sizeof(WipedFile), &open_wiped);
  return layer.name();
}

}  // namespace palyra::journal::sqlite
