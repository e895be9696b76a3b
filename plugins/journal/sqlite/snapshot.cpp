#include "plugins/journal/sqlite/snapshot.h"

#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/sqlite/schema.h"
#include "plugins/journal/sqlite/wal_file.h"

#include <sqlite3.h>

#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <thread>
#include <unistd.h>

namespace palyra::journal::sqlite {
namespace {

// Pages between two looks at the world: 1 MiB.
constexpr int kStepPages = 256;
// The disk belongs to the writer in between.
constexpr std::chrono::milliseconds kPause{1};

std::string log_salt(const std::string& store) {
  const int fd = ::open((store + "-wal").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  char bytes[kWalHeader];
  const ssize_t size = ::pread(fd, bytes, sizeof bytes, 0);
  ::close(fd);
  // A log that nothing was written to yet is zeros.
  const auto header =
      parse_wal_header(std::string_view(bytes, size > 0 ? static_cast<size_t>(size) : 0));
  return header ? header->salt : "";
}

Result<SnapshotFacts> facts_of(Database& db) {
  SnapshotFacts facts;
  for (const auto& [sql, out] : std::initializer_list<std::pair<const char*, uint64_t*>>{
           {"SELECT max(position) FROM record", &facts.position},
           {"SELECT count(*) FROM stream", &facts.streams}}) {
    const Result<int64_t> value = db.number(sql);
    if (!value.ok()) return value.status();
    *out = static_cast<uint64_t>(*value);
  }
  const Result<int64_t> version = db.number("PRAGMA user_version");
  if (!version.ok()) return version.status();
  facts.schema_version = *version;
  const Result<int64_t> newest = db.number(
      "SELECT max(wall_time_ns) FROM (SELECT wall_time_ns FROM record ORDER BY position DESC "
      "LIMIT 1000)");
  if (!newest.ok()) return newest.status();
  facts.newest_wall_ns = *newest;
  Statement head = db.prepare(
      "SELECT hash FROM record WHERE stream=(SELECT id FROM stream WHERE name='audit') ORDER BY "
      "seq DESC LIMIT 1");
  if (head.step() == SQLITE_ROW) facts.audit_head = head.bytes(0);
  return facts;
}

Status copy_pages(Database& from, Database& to, const files::Progress& progress) {
  sqlite3_backup* const backup = sqlite3_backup_init(to.raw(), "main", from.raw(), "main");
  if (backup == nullptr) return to.status(sqlite3_extended_errcode(to.raw()));
  int code = SQLITE_OK;
  Status status;
  while (code == SQLITE_OK && status.ok()) {
    code = sqlite3_backup_step(backup, kStepPages);
    const auto total = static_cast<uint64_t>(sqlite3_backup_pagecount(backup));
    const auto left = static_cast<uint64_t>(sqlite3_backup_remaining(backup));
    if (progress && !progress((total - left) * 4096, total * 4096)) {
      status = Status(Code::kCancelled, "the copy was stopped");
    }
    if (code == SQLITE_OK) std::this_thread::sleep_for(kPause);
  }
  // A failed step does not leave its error with the connection; finish does.
  const int finished = sqlite3_backup_finish(backup);
  if (status.ok() && code != SQLITE_DONE)
    status = to.status(finished != SQLITE_OK ? finished : code);
  return status;
}

// The copied header says "has a log"; this file has none and must need none.
Status forget_log(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return files::error(path, errno);
  constexpr char kRollback[2] = {1, 1};
  Status status;
  if (::pwrite(fd, kRollback, sizeof kRollback, 18) != sizeof kRollback || ::fsync(fd) != 0) {
    status = files::error(path, errno);
  }
  ::close(fd);
  return status;
}

Result<SnapshotFacts> copy(const std::string& from, const std::string& to,
                           const files::Progress& progress) {
  auto source = Database::open(from, false);
  if (!source.ok()) return source.status();
  Status status = configure(**source, false);
  // Before the transaction: a log older than the state may be replayed over it, a younger may not.
  const std::string salt = log_salt(from);
  if (status.ok()) status = (*source)->execute("BEGIN");
  if (!status.ok()) return status;
  Result<SnapshotFacts> facts = facts_of(**source);
  if (!facts.ok()) return facts;
  facts->log_salt = salt;
  {
    auto target = Database::open(to, true);
    if (!target.ok()) return target.status();
    status = (*target)->execute(
        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF");
    if (status.ok()) status = copy_pages(**source, **target, progress);
  }
  if (status.ok()) status = forget_log(to);
  if (!status.ok()) return status;
  return facts;
}

}  // namespace

Result<SnapshotFacts> copy_snapshot(const std::string& from, const std::string& to,
                                    const files::Progress& progress) {
  if (files::exists(to)) return files::error(to, EEXIST);
  Result<SnapshotFacts> facts = copy(from, to, progress);
  if (!facts.ok()) {
    (void)files::remove(to);
    (void)files::remove(to + "-wal");
    (void)files::remove(to + "-shm");
  }
  return facts;
}

}  // namespace palyra::journal::sqlite
