#include "plugins/journal/sqlite/snapshot.h"

#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/sqlite/schema.h"
#include "plugins/journal/sqlite/wal_file.h"

#include <sqlite3.h>

#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <thread>
#include <unistd.h>

namespace palyra::journal::sqlite {
namespace {

// Pages between two looks at the world: 1 MiB.
constexpr int kStepPages = 256;
// The disk belongs to the writer in between.
constexpr std::chrono::milliseconds kPause{1};

// How far the log of a store is, by its file. A commit is there before anybody can read it, so a
// state that was read is never further than what is found afterwards.
class LogEnd {
 public:
  explicit LogEnd(const std::string& store)
      : fd_(::open((store + "-wal").c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~LogEnd() {
    if (fd_ >= 0) ::close(fd_);
  }
  LogEnd(const LogEnd&) = delete;

  // Goes on to where the log ends now.
  void look() {
    // A log that nothing was written to yet is zeros.
    const auto header = parse_wal_header(read(0, kWalHeader));
    if (!header || header->salt != salt_) walk_.reset();
    salt_ = header ? header->salt : "";
    if (!header) return;
    if (!walk_) walk_.emplace(*header);
    WalWalk ahead = *walk_;
    const size_t size = header->frame_size();
    while (ahead.add(read(kWalHeader + ahead.frames() * size, size))) {
      if (ahead.at_commit()) walk_ = ahead;
    }
  }
  const std::string& salt() const { return salt_; }
  int64_t frames() const { return walk_ ? static_cast<int64_t>(walk_->committed()) : -1; }

 private:
  std::string read(uint64_t at, size_t size) const {
    std::string bytes(size, '\0');
    const ssize_t got =
        fd_ < 0 ? 0 : ::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at));
    bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return bytes;
  }

  const int fd_;
  std::string salt_;
  std::optional<WalWalk> walk_;
};

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
  // Once before the transaction, so that little comes between its state and what is found after it.
  LogEnd log(from);
  log.look();
  if (status.ok()) status = (*source)->execute("BEGIN");
  if (!status.ok()) return status;
  Result<SnapshotFacts> facts = facts_of(**source);
  if (!facts.ok()) return facts;
  log.look();
  facts->log_salt = log.salt();
  facts->log_frames = log.frames();
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

Result<int64_t> newest_stamp(Database& db) {
  return db.number(
      "SELECT max(wall_time_ns) FROM (SELECT wall_time_ns FROM record ORDER BY position DESC "
      "LIMIT 1000)");
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
  const Result<int64_t> newest = newest_stamp(db);
  if (!newest.ok()) return newest.status();
  facts.newest_wall_ns = *newest;
  Statement head = db.prepare(
      "SELECT hash FROM record WHERE stream=(SELECT id FROM stream WHERE name='audit') ORDER BY "
      "seq DESC LIMIT 1");
  if (head.step() == SQLITE_ROW) facts.audit_head = head.bytes(0);
  return facts;
}

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
