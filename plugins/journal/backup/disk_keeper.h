// The keeper of a store on disk.
#pragma once

#include "palyra/world.hpp"
#include "plugins/journal/backup/create.h"
#include "plugins/journal/keeper.h"
#include "plugins/journal/sqlite/wal_archive.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace palyra::journal::backup {

struct KeeperOptions {
  std::string store = {};      // path of the database
  std::string directory = {};  // of backups
  std::string archive = {};    // of logs; empty = none
  std::string segments = {};   // of archived segments; empty = none
  uint64_t reserve = 0;        // bytes that a backup leaves free on the disk of the store
  // After each backup all but the newest so many are removed; 0 = none are.
  size_t keep = 0;
};

// Two threads, each there only while it works: one makes a backup, one checks the store. They use
// connections of their own, so the store is used as before. Destroying it stops both; a backup that
// is stopped leaves nothing.
class DiskKeeper : public Keeper {
 public:
  // A store larger than this is checked once a week rather than at each start.
  static constexpr uint64_t kLargeStore = uint64_t{1} << 30;
  static constexpr int64_t kCheckEvery = 7 * 24 * 3600 * kNanosPerSecond;

  // What others should hear of: damaged or not, and a sentence. On the check's thread.
  using Heard = std::function<void(bool damaged, const std::string& sentence)>;

  // `archive` may be null; it and the clock outlive this.
  DiskKeeper(KeeperOptions options, const Clock& clock, sqlite::WalArchive* archive);
  ~DiskKeeper() override;

  Result<v1::BackupResponse> backup(const v1::BackupRequest& request) override;
  Result<v1::CheckResponse> check(const v1::CheckRequest& request) override;

  // Begins the check of the whole store unless it is not due; once. Slow on purpose: it works a
  // fifth of the time at the lowest priority.
  void begin_check(Heard heard);

 private:
  CreateOptions to_create(const std::string& name) const;
  void make(const std::string& name);
  // Removes what `keep` does not want. A sentence for the operator, or empty.
  std::string tidy();
  void look(const Heard& heard);
  // Sleeps and says whether to go on.
  bool pause(std::chrono::steady_clock::duration time);
  std::string checked_path() const { return options_.store + ".checked"; }

  const KeeperOptions options_;
  const Clock& clock_;
  sqlite::WalArchive* const archive_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  v1::BackupProgress progress_;
  v1::StoreCheckProgress check_;
  // The last check that ended, maybe in an earlier life, found damage or failed: older backups may
  // be the only whole ones.
  bool suspect_ = false;
  std::thread maker_;
  std::thread checker_;
};

}  // namespace palyra::journal::backup
