// The write-ahead log of SQLite as a file: https://www.sqlite.org/fileformat2.html#walformat
#pragma once

#include "palyra/status.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace palyra::journal::sqlite {

constexpr size_t kWalHeader = 32;
constexpr size_t kWalFrameHeader = 24;

struct WalHeader {
  uint32_t page_size = 0;
  bool big_endian = false;  // the words of its checksums
  // The two salts, 8 bytes: they name one life of the log, from one beginning at its front to the
  // next. The first one, a big-endian number, goes up by one each time.
  std::string salt;
  uint32_t checksum[2] = {};

  size_t frame_size() const { return kWalFrameHeader + page_size; }
};

// The first 32 bytes; nothing if they are no header that SQLite would accept.
std::optional<WalHeader> parse_wal_header(std::string_view bytes);

// Walks the frames of a log in order and says which are valid: salts and running checksum are
// right. Feed it each frame once; after the first that is not valid the log has ended.
class WalWalk {
 public:
  explicit WalWalk(const WalHeader& header);

  // `frame` is header and page. False = the log ended before it.
  bool add(std::string_view frame);
  uint64_t frames() const { return frames_; }
  // Frames up to and with the last one that ends a transaction.
  uint64_t committed() const { return committed_; }
  // Whether the last frame ended a transaction.
  bool at_commit() const { return frames_ > 0 && frames_ == committed_; }

 private:
  WalHeader header_;
  uint32_t sum_[2];
  uint64_t frames_ = 0;
  uint64_t committed_ = 0;
};

}  // namespace palyra::journal::sqlite
