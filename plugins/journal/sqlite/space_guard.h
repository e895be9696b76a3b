// When there is too little room for new work.
#pragma once

#include "palyra/status.hpp"
#include "palyra/world.hpp"

#include <cstdint>
#include <mutex>
#include <string>

namespace palyra::journal::sqlite {

// What is known of the room for a store. All in bytes.
struct Room {
  // Free on the disk, and in the store's own file.
  uint64_t disk_free = 0;
  uint64_t file_free = 0;
  // Used in the file.
  uint64_t used = 0;
};

// Judges once a second while all is well and work is written, at every batch while there is less
// than four times the reserve, every 2 s while it refuses; never by itself. The last `min_free`
// bytes are kept for what is under way: a run ends, a cancel is written, an erasure or an archiving
// makes room. [any thread]
class SpaceGuard {
 public:
  // `directory` is for people. max_bytes 0 = no limit but the disk's.
  SpaceGuard(const Clock& clock, std::string directory, uint64_t min_free, uint64_t max_bytes)
      : clock_(clock),
        directory_(std::move(directory)),
        min_free_(min_free),
        max_bytes_(max_bytes) {}

  // It is time to look again.
  bool due() const;
  void look(const Room& room);
  // A write failed for want of space.
  void failed();
  // One was made: what failed() said is over.
  void wrote();
  // OK, or RESOURCE_EXHAUSTED with what to do.
  Status refusal() const;

 private:
  const Clock& clock_;
  const std::string directory_;
  const uint64_t min_free_;
  const uint64_t max_bytes_;
  mutable std::mutex mutex_;
  int64_t looked_ns_ = 0;
  bool looked_ = false;
  bool near_ = false;
  bool failed_ = false;
  Status refusal_;
};

}  // namespace palyra::journal::sqlite
