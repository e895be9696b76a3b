// What has been written to a file and not been synced: what a power cut may take back.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace palyra::chaos {

// Not thread-safe: its user holds a lock that every write takes.
class Unsynced {
 public:
  explicit Unsynced(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  // Before `data` is written at `offset`.
  void will_write(int64_t offset, const void* data, size_t size);
  // Before the file is cut to `size`.
  void will_truncate(int64_t size);
  void synced() { changes_.clear(); }
  // Takes every change back with a chance of `percent`; the others stay, in their order. The last
  // one stays if `keep_last`. How many were taken back.
  uint64_t lose(uint32_t percent, std::mt19937_64& random, bool keep_last);

 private:
  struct Change {
    int64_t offset = 0;
    std::string before;  // shorter than `after` where the file ended
    std::string after;
    int64_t size_before = 0;
    bool truncated = false;
  };

  std::string path_;
  std::vector<Change> changes_;
};

}  // namespace palyra::chaos
