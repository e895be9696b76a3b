// Moves what is in the write-ahead log into the database, beside the writer.
#pragma once

#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/sqlite/wal_archive.h"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace palyra::journal::sqlite {

// The long part (copying and syncing) runs on its own thread and connection while the writer goes
// on appending; the little that was appended meanwhile is left for a short pass of the writer,
// after which the log begins anew at its front.
//
// With an archive, nothing is checkpointed that was not archived. On the thread a read transaction
// of `guard` keeps checkpoints to what the log held when it began, which is then archived; in the
// writer's pass nobody appends.
class Checkpointer {
 public:
  // Pages of log after which a checkpoint is made: 6 MiB. If the log could not begin anew, because
  // somebody reads an old state or the archive cannot be written, so many later again.
  static constexpr int kPages = 1500;
  // The log's file is kept at this size, so that appending overwrites blocks it has: a sync of a
  // file that grows costs about twice as much.
  static constexpr int64_t kReservedBytes = 8 << 20;
  // What a log that grew longer, beside a backup say, is cut to when it begins anew.
  static constexpr int64_t kMostKeptBytes = 32 << 20;
  // Pages of log that wait for an archive that cannot be written; then it gets a gap: 256 MiB.
  static constexpr int kMostUnarchived = 65536;

  // `finish`: called on this class's thread when the writer should make its pass. `guard` and
  // `archive` may be null together; the archive outlives this.
  Checkpointer(std::unique_ptr<Database> db, std::unique_ptr<Database> guard, WalArchive* archive,
               std::function<void()> finish);
  ~Checkpointer();

  // The log has so many pages. The writer's thread, after a commit.
  void log_has(int pages);
  // True once after `finish` was called. The writer's thread.
  bool take_finish();
  // The writer's pass; also when it writes no more.
  void finish(Database& db);
  // Moves all of the log into the database and overwrites its file, so that nothing of it stays.
  // The writer's thread, outside of a transaction. UNAVAILABLE, retryable: another checkpoint runs,
  // somebody reads an older state, or the archive cannot be written; nothing was overwritten then.
  Status clear(Database& db, const std::string& path);
  // Brings the log's file to kReservedBytes; a full disk is no error.
  static void reserve(Database& db, const std::string& path);

 private:
  void run();
  bool archived();

  std::unique_ptr<Database> db_;
  std::unique_ptr<Database> guard_;
  WalArchive* const archive_;
  const std::function<void()> finish_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool wanted_ = false;
  bool stopping_ = false;
  std::atomic<bool> busy_{false};
  std::atomic<bool> finish_due_{false};
  std::atomic<int> pages_{0};
  // The writer's.
  int next_at_ = kPages;
  std::thread thread_;
};

}  // namespace palyra::journal::sqlite
