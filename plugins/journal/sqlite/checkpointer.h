// Moves what is in the write-ahead log into the database, beside the writer.
#pragma once

#include "plugins/journal/sqlite/database.h"

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
class Checkpointer {
 public:
  // Pages of log after which a checkpoint is made: 6 MiB.
  static constexpr int kPages = 1500;
  // The log's file is kept at this size, so that appending overwrites blocks it has: a sync of a
  // file that grows costs about twice as much.
  static constexpr int64_t kReservedBytes = 8 << 20;

  // `finish`: called on this class's thread when the writer should make its pass.
  Checkpointer(std::unique_ptr<Database> db, std::function<void()> finish);
  ~Checkpointer();

  // The log has so many pages. The writer's thread, after a commit.
  void log_has(int pages);
  // True once after `finish` was called. The writer's thread.
  bool take_finish();
  // The writer's pass.
  static void finish(Database& db);
  // Brings the log's file to kReservedBytes; a full disk is no error.
  static void reserve(Database& db, const std::string& path);

 private:
  void run();

  std::unique_ptr<Database> db_;
  const std::function<void()> finish_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool wanted_ = false;
  bool stopping_ = false;
  std::atomic<bool> busy_{false};
  std::atomic<bool> finish_due_{false};
  std::thread thread_;
};

}  // namespace palyra::journal::sqlite
