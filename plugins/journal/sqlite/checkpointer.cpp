#include "plugins/journal/sqlite/checkpointer.h"

#include "plugins/journal/sqlite/schema.h"

#include <sqlite3.h>

#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace palyra::journal::sqlite {

namespace {

void checkpoint(Database& db) {
  sqlite3_wal_checkpoint_v2(db.raw(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
}

}  // namespace

Checkpointer::Checkpointer(std::unique_ptr<Database> db, std::unique_ptr<Database> guard,
                           WalArchive* archive, std::function<void()> finish)
    : db_(std::move(db)),
      guard_(std::move(guard)),
      archive_(archive),
      finish_(std::move(finish)),
      thread_([this] { run(); }) {}

Checkpointer::~Checkpointer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Checkpointer::log_has(int pages) {
  if (pages < pages_.exchange(pages)) next_at_ = kPages;  // it began anew
  if (pages < next_at_ || busy_.exchange(true)) return;
  next_at_ = pages + kPages;
  {
    const std::lock_guard lock(mutex_);
    wanted_ = true;
  }
  changed_.notify_one();
}

bool Checkpointer::take_finish() {
  if (!finish_due_.exchange(false)) return false;
  busy_ = false;
  return true;
}

bool Checkpointer::archived() {
  if (archive_ == nullptr || archive_->follow().ok()) return true;
  if (pages_ < kMostUnarchived) return false;
  return archive_->skip().ok();
}

void Checkpointer::finish(Database& db) {
  if (archived()) checkpoint(db);
}

Status Checkpointer::clear(Database& db, const std::string& path) {
  const Status busy(Code::kUnavailable,
                    "the write-ahead log cannot be cleared while somebody, a backup say, reads an "
                    "older state of the store; it is tried again",
                    PALYRA_ERROR_RETRYABLE);
  if (archive_ != nullptr) {
    if (Status status = archive_->follow(); !status.ok()) {
      return {Code::kUnavailable,
              "the write-ahead log cannot be cleared, because it cannot be archived: " +
                  status.message(),
              PALYRA_ERROR_RETRYABLE};
    }
  }
  // Nobody writes and the log is archived. First without waiting for anybody.
  int frames = 0;
  int moved = 0;
  int code =
      sqlite3_wal_checkpoint_v2(db.raw(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &frames, &moved);
  if (code == SQLITE_BUSY || (code == SQLITE_OK && moved < frames)) return busy;
  if (code == SQLITE_OK) {
    sqlite3_busy_timeout(db.raw(), 0);
    code =
        sqlite3_wal_checkpoint_v2(db.raw(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    sqlite3_busy_timeout(db.raw(), kBusyTimeoutMs);
  }
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED) return busy;
  if (code != SQLITE_OK) return db.status(code);
  reserve(db, path);
  if (archive_ == nullptr) return {};
  // Nobody could tell whether what a later life writes into an empty log follows what is archived.
  if (const Result<int64_t> version = db.number("PRAGMA user_version"); version.ok()) {
    (void)db.execute(("PRAGMA user_version=" + std::to_string(*version)).c_str());
  }
  return {};
}

void Checkpointer::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || wanted_; });
    if (stopping_) return;
    wanted_ = false;
    lock.unlock();
    // The first row begins the read transaction.
    const bool guarded =
        guard_ == nullptr ||
        (guard_->execute("BEGIN").ok() && guard_->number("SELECT count(*) FROM collection").ok());
    if (guarded && archived()) checkpoint(*db_);
    if (guard_ != nullptr) (void)guard_->execute("COMMIT");
    finish_due_ = true;
    finish_();
    lock.lock();
  }
}

void Checkpointer::reserve(Database& db, const std::string& path) {
  int keep = 1;
  sqlite3_file_control(db.raw(), "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
  (void)db.execute(("PRAGMA journal_size_limit=" + std::to_string(kMostKeptBytes)).c_str());
  // SQLite locks the database file and never the log, so a descriptor of our own may be closed.
  const int fd = ::open((path + "-wal").c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  struct stat info {};
  if (::fstat(fd, &info) == 0 && info.st_size < kReservedBytes) {
    // Zeros are no valid frame: recovery stops where they begin.
    const std::vector<char> zeros(static_cast<size_t>(kReservedBytes - info.st_size));
    if (::pwrite(fd, zeros.data(), zeros.size(), info.st_size) !=
        static_cast<ssize_t>(zeros.size())) {
      (void)!::ftruncate(fd, info.st_size);
    }
    ::fsync(fd);
  }
  ::close(fd);
}

}  // namespace palyra::journal::sqlite
