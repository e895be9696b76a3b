// A file system for SQLite that fails on demand, preloaded into the daemon (LD_PRELOAD): it wraps
// the default one and leaves the product as it is. Writes, syncs and truncations of databases and
// their logs are counted; at the one that the control names the power goes: unsynced writes are
// taken back as told and the process kills itself. Method tables as
// https://www.sqlite.org/c3ref/io_methods.html says.
#include "tests/chaos/fault_vfs/control.h"
#include "tests/chaos/fault_vfs/unsynced.h"

#include <sqlite3.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <unistd.h>

namespace palyra::chaos {
namespace {

struct World {
  FaultControl* control = nullptr;
  sqlite3_vfs* real = nullptr;
  sqlite3_vfs vfs{};
  std::mutex mutex;  // held by every write, so that nothing is written while the power goes
  std::atomic<bool> off{false};                               // nor told of what is read then
  std::map<std::string, std::unique_ptr<Unsynced>> unsynced;  // by path
};

// Lives as long as the process: SQLite keeps the pointer.
World& world() {
  static World* const one = new World();
  return *one;
}

struct File {
  sqlite3_file base;
  sqlite3_file* real;
  StoreFile kind;
  Unsynced* unsynced;
};

File* of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
sqlite3_file* real(sqlite3_file* file) { return of(file)->real; }

Fault fault() { return world().control->fault; }
int refuse(int code) {
  ++world().control->refused;
  return code;
}

[[noreturn]] void power_off(const File& file, bool torn) {
  FaultControl& control = *world().control;
  world().off = true;
  std::mt19937_64 random(control.seed);
  for (auto& [path, unsynced] : world().unsynced) {
    control.lost += unsynced->lose(control.loss, random, torn && unsynced.get() == file.unsynced);
  }
  control.was_cut = true;
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

// Where the power goes with this operation; nothing if it does not.
std::optional<Cut> strikes(const File& file, Operation operation) {
  FaultControl& control = *world().control;
  ++control.operations;
  const bool meant = control.any || (control.file == file.kind && control.operation == operation);
  if (control.countdown <= 0 || !meant) return std::nullopt;
  if (--control.countdown > 0) return std::nullopt;
  return control.cut.load();
}

int write(sqlite3_file* handle, const void* data, int size, sqlite3_int64 offset) {
  const std::lock_guard lock(world().mutex);
  if (fault() == Fault::kFull) return refuse(SQLITE_FULL);
  if (fault() == Fault::kWriteError) return refuse(SQLITE_IOERR_WRITE);
  File& file = *of(handle);
  const std::optional<Cut> cut = strikes(file, Operation::kWrite);
  if (cut == Cut::kBefore) power_off(file, false);
  const int part = cut == Cut::kTorn ? size / 2 : size;
  file.unsynced->will_write(offset, data, static_cast<size_t>(part));
  const int code = file.real->pMethods->xWrite(file.real, data, part, offset);
  if (cut) power_off(file, cut == Cut::kTorn);
  return code;
}

int truncate(sqlite3_file* handle, sqlite3_int64 size) {
  const std::lock_guard lock(world().mutex);
  File& file = *of(handle);
  const std::optional<Cut> cut = strikes(file, Operation::kTruncate);
  if (cut && cut != Cut::kAfter) power_off(file, false);
  file.unsynced->will_truncate(size);
  const int code = file.real->pMethods->xTruncate(file.real, size);
  if (cut) power_off(file, false);
  return code;
}

int sync(sqlite3_file* handle, int flags) {
  const std::lock_guard lock(world().mutex);
  if (fault() == Fault::kSyncError) return refuse(SQLITE_IOERR_FSYNC);
  File& file = *of(handle);
  const std::optional<Cut> cut = strikes(file, Operation::kSync);
  if (cut && cut != Cut::kAfter) power_off(file, false);
  const int code = file.real->pMethods->xSync(file.real, flags);
  if (code == SQLITE_OK) file.unsynced->synced();
  if (cut) power_off(file, false);
  return code;
}

int read(sqlite3_file* handle, void* data, int size, sqlite3_int64 offset) {
  if (fault() == Fault::kReadError) return refuse(SQLITE_IOERR_READ);
  const int code = real(handle)->pMethods->xRead(real(handle), data, size, offset);
  while (world().off) ::pause();
  return code;
}

int close(sqlite3_file* handle) { return real(handle)->pMethods->xClose(real(handle)); }
int file_size(sqlite3_file* handle, sqlite3_int64* size) {
  return real(handle)->pMethods->xFileSize(real(handle), size);
}
int lock(sqlite3_file* handle, int level) {
  return real(handle)->pMethods->xLock(real(handle), level);
}
int unlock(sqlite3_file* handle, int level) {
  return real(handle)->pMethods->xUnlock(real(handle), level);
}
int check_reserved_lock(sqlite3_file* handle, int* out) {
  return real(handle)->pMethods->xCheckReservedLock(real(handle), out);
}
int file_control(sqlite3_file* handle, int op, void* argument) {
  return real(handle)->pMethods->xFileControl(real(handle), op, argument);
}
int sector_size(sqlite3_file* handle) { return real(handle)->pMethods->xSectorSize(real(handle)); }
int device_characteristics(sqlite3_file* handle) {
  return real(handle)->pMethods->xDeviceCharacteristics(real(handle));
}
int shm_map(sqlite3_file* handle, int page, int size, int extend, void volatile** out) {
  return real(handle)->pMethods->xShmMap(real(handle), page, size, extend, out);
}
int shm_lock(sqlite3_file* handle, int offset, int count, int flags) {
  return real(handle)->pMethods->xShmLock(real(handle), offset, count, flags);
}
void shm_barrier(sqlite3_file* handle) { real(handle)->pMethods->xShmBarrier(real(handle)); }
int shm_unmap(sqlite3_file* handle, int remove) {
  return real(handle)->pMethods->xShmUnmap(real(handle), remove);
}

// Version 2: no memory-mapped reads, which would pass by read().
constexpr sqlite3_io_methods kMethods = {2,
                                         close,
                                         read,
                                         write,
                                         truncate,
                                         sync,
                                         file_size,
                                         lock,
                                         unlock,
                                         check_reserved_lock,
                                         file_control,
                                         sector_size,
                                         device_characteristics,
                                         shm_map,
                                         shm_lock,
                                         shm_barrier,
                                         shm_unmap,
                                         nullptr,
                                         nullptr};

int open(sqlite3_vfs*, const char* name, sqlite3_file* handle, int flags, int* out) {
  World& here = world();
  File& file = *of(handle);
  const bool watched = name != nullptr && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0;
  if (!watched) return here.real->xOpen(here.real, name, handle, flags, out);
  new (&file) File{};
  file.real = reinterpret_cast<sqlite3_file*>(&file + 1);
  file.kind = (flags & SQLITE_OPEN_WAL) != 0 ? StoreFile::kLog : StoreFile::kDatabase;
  const int code = here.real->xOpen(here.real, name, file.real, flags, out);
  if (file.real->pMethods == nullptr) return code;
  const std::lock_guard lock(here.mutex);
  auto& unsynced = here.unsynced[name];
  if (!unsynced) unsynced = std::make_unique<Unsynced>(name);
  file.unsynced = unsynced.get();
  file.base.pMethods = &kMethods;
  return code;
}

int remove(sqlite3_vfs*, const char* name, int sync_directory) {
  World& here = world();
  const std::lock_guard lock(here.mutex);
  if (const auto found = here.unsynced.find(name); found != here.unsynced.end()) {
    found->second->synced();
  }
  return here.real->xDelete(here.real, name, sync_directory);
}

[[gnu::constructor]] void install() {
  const char* const path = std::getenv(kControlVariable);
  if (path == nullptr) return;
  World& here = world();
  here.control = map_control(path);
  here.real = sqlite3_vfs_find(nullptr);
  // A harness that believes in faults which never come would prove nothing.
  if (here.control == nullptr || here.real == nullptr) ::_exit(98);
  here.vfs = *here.real;
  here.vfs.zName = "palyra_fault";
  here.vfs.szOsFile = static_cast<int>(sizeof(File)) + here.real->szOsFile;
  here.vfs.xOpen = open;
  here.vfs.xDelete = remove;
  here.vfs.pNext = nullptr;
  if (sqlite3_vfs_register(&here.vfs, 1) != SQLITE_OK) ::_exit(98);
}

}  // namespace
}  // namespace palyra::chaos
