// What SQLite VFSs that stand in front of another one have in common.
#pragma once

#include <sqlite3.h>

#include <new>

namespace palyra::journal::sqlite {

// A file as SQLite sees it; the real one lies behind it in the same memory. State is made with the
// real file and does what the layer is for.
template <typename State>
struct LayerFile {
  sqlite3_file base;
  sqlite3_file* real;
  State* state;

  static LayerFile* of(sqlite3_file* file) { return reinterpret_cast<LayerFile*>(file); }

  // Opens the real file in `next` and, if it is of `kind` (SQLITE_OPEN_MAIN_DB, ...), puts
  // `methods` in front of it.
  static int open(sqlite3_vfs* next, int kind, const sqlite3_io_methods* methods,
                  sqlite3_filename name, sqlite3_file* file, int flags, int* out_flags) {
    if ((flags & kind) == 0) return next->xOpen(next, name, file, flags, out_flags);
    LayerFile* const self = of(file);
    self->base.pMethods = nullptr;
    self->real = reinterpret_cast<sqlite3_file*>(self + 1);
    self->real->pMethods = nullptr;
    const int code = next->xOpen(next, name, self->real, flags, out_flags);
    if (code != SQLITE_OK) {
      // An open that failed may still have to be closed; SQLite sees no methods and will not do it.
      if (self->real->pMethods != nullptr) self->real->pMethods->xClose(self->real);
      return code;
    }
    self->state = new (std::nothrow) State(self->real);
    if (self->state == nullptr) {
      self->real->pMethods->xClose(self->real);
      return SQLITE_NOMEM;
    }
    self->base.pMethods = methods;
    return SQLITE_OK;
  }

  // The same method of the real file.
  template <auto Method, typename... Arguments>
  static auto pass(sqlite3_file* file, Arguments... arguments) {
    LayerFile* const self = of(file);
    return (self->real->pMethods->*Method)(self->real, arguments...);
  }

  static int close(sqlite3_file* file) {
    delete of(file)->state;
    return pass<&sqlite3_io_methods::xClose>(file);
  }

  // Every method of the real file, for a layer that replaces some. No file is mapped.
  static constexpr sqlite3_io_methods methods() {
    using Methods = sqlite3_io_methods;
    return {
        .iVersion = 2,
        .xClose = &close,
        .xRead = &pass<&Methods::xRead, void*, int, sqlite3_int64>,
        .xWrite = &pass<&Methods::xWrite, const void*, int, sqlite3_int64>,
        .xTruncate = &pass<&Methods::xTruncate, sqlite3_int64>,
        .xSync = &pass<&Methods::xSync, int>,
        .xFileSize = &pass<&Methods::xFileSize, sqlite3_int64*>,
        .xLock = &pass<&Methods::xLock, int>,
        .xUnlock = &pass<&Methods::xUnlock, int>,
        .xCheckReservedLock = &pass<&Methods::xCheckReservedLock, int*>,
        .xFileControl = &pass<&Methods::xFileControl, int, void*>,
        .xSectorSize = &pass<&Methods::xSectorSize>,
        .xDeviceCharacteristics = &pass<&Methods::xDeviceCharacteristics>,
        .xShmMap = &pass<&Methods::xShmMap, int, int, int, void volatile**>,
        .xShmLock = &pass<&Methods::xShmLock, int, int, int>,
        .xShmBarrier = &pass<&Methods::xShmBarrier>,
        .xShmUnmap = &pass<&Methods::xShmUnmap, int>,
        .xFetch = nullptr,
        .xUnfetch = nullptr,
    };
  }
};

// A VFS that is registered, and not the default, for as long as it lives.
class VfsLayer {
 public:
  VfsLayer(const char* name, sqlite3_vfs* next, int file_bytes, decltype(sqlite3_vfs::xOpen) open) {
    if (next == nullptr) return;
    vfs_ = *next;
    vfs_.pNext = nullptr;
    vfs_.zName = name;
    vfs_.szOsFile = file_bytes + next->szOsFile;
    vfs_.xOpen = open;
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~VfsLayer() { sqlite3_vfs_unregister(&vfs_); }
  VfsLayer(const VfsLayer&) = delete;
  const char* name() const { return vfs_.zName; }

 private:
  sqlite3_vfs vfs_{};
};

}  // namespace palyra::journal::sqlite
