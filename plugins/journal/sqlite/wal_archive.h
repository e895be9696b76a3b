// Every life of the write-ahead log, kept: with a backup as their base they lead to any later
// state.
#pragma once

#include "palyra/status.hpp"
#include "plugins/journal/sqlite/wal_file.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace palyra::journal::sqlite {

// One file of an archive: a log from its header to the end of a transaction.
struct Segment {
  uint64_t number = 0;
  std::string path;
  std::string salt;  // 8 bytes

  // Whether `next` holds what was written directly after this one.
  bool leads_to(const Segment& next) const;
  // Whether the log with this salt (8 bytes) is the one after this one's.
  bool leads_to(const std::string& salt) const;
};

// In the order of their numbers. An absent directory has none.
Result<std::vector<Segment>> list_segments(const std::string& directory);
// What always holds: a frame is checkpointed only after it was archived, and the log begins anew
// only after all of it was checkpointed; so nothing is overwritten that the archive does not have,
// also over a crash. Whoever makes a checkpoint calls follow() first and makes none if it fails.
// Segments are numbered; two that follow each other have numbers and first salts that do.
//
// An archive is of one store: its file `store` has the path. STORE.archived beside the store has
// the directory and says that nothing was overwritten that is not there: it goes before something
// may be, and what is archived after that has a number that does not follow.
//
// follow() and skip() from any thread, one at a time waits for the other.
class WalArchive {
 public:
  // Continues the archive. `store` is the path of the database, whose log has been recovered.
  // FAILED_PRECONDITION: it is the archive of another one.
  static Result<std::unique_ptr<WalArchive>> open(const std::string& directory,
                                                  const std::string& store);
  // Adds what the log of a store that nobody has open holds beyond its archive, and changes nothing
  // else: an archive of another store, one that knows more than the log, or one that the log does
  // not follow stays as it is.
  static Status add_rest(const std::string& directory, const std::string& store);
  // Before the store is used without an archive, or becomes another one.
  static Status forget(const std::string& store);
  ~WalArchive();
  WalArchive(const WalArchive&) = delete;

  // Archives all transactions of the log that are not yet, synced.
  Status follow();
  // Gives up what could not be archived: unless that can be made up for before the log begins anew,
  // the archive has a gap. After an error nothing is given up.
  Status skip();
  // Why what was written last could not be archived; empty if it is.
  std::string problem() const;

 private:
  WalArchive(std::string directory, std::string store)
      : directory_(std::move(directory)), store_(std::move(store)) {}

  std::string mark() const { return store_ + ".archived"; }
  // `may_cut`: what the last segment has beyond the log goes.
  Status resume(bool may_cut);
  Status follow_locked();
  Status begin_segment(const WalHeader& header, std::string_view bytes);
  Status append_from(int log, const WalHeader& header);
  void close_segment();

  const std::string directory_;
  const std::string store_;
  mutable std::mutex mutex_;
  uint64_t last_number_ = 0;
  std::string last_salt_;
  // The segment that is being written, and how far it is: always at the end of a transaction.
  int segment_ = -1;
  std::string segment_path_;
  std::optional<WalWalk> walk_;
  std::string problem_;
  // What the log holds follows the last segment; and the store says so beside itself.
  bool continuous_ = false;
  bool marked_ = false;
};

}  // namespace palyra::journal::sqlite
