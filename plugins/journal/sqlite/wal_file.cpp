#include "plugins/journal/sqlite/wal_file.h"

#include <cstring>

namespace palyra::journal::sqlite {
namespace {

constexpr uint32_t kMagic = 0x377f0682;  // the last bit: big-endian checksums
constexpr uint32_t kFormat = 3007000;

uint32_t big(const char* at) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(at);
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

uint32_t little(const char* at) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(at);
  return uint32_t{bytes[3]} << 24 | uint32_t{bytes[2]} << 16 | uint32_t{bytes[1]} << 8 | bytes[0];
}

// The algorithm of section 4.2 of the file format; `data` in whole pairs of words.
template <typename Word>
void add_up(Word word, std::string_view data, uint32_t sum[2]) {
  for (size_t at = 0; at + 8 <= data.size(); at += 8) {
    sum[0] += word(data.data() + at) + sum[1];
    sum[1] += word(data.data() + at + 4) + sum[0];
  }
}

void checksum(bool big_endian, std::string_view data, uint32_t sum[2]) {
  if (big_endian) {
    add_up(big, data, sum);
  } else {
    add_up(little, data, sum);
  }
}

}  // namespace

std::optional<WalHeader> parse_wal_header(std::string_view bytes) {
  if (bytes.size() < kWalHeader) return std::nullopt;
  const uint32_t magic = big(bytes.data());
  if ((magic & ~1u) != kMagic || big(bytes.data() + 4) != kFormat) return std::nullopt;
  WalHeader header;
  header.big_endian = (magic & 1) != 0;
  header.page_size = big(bytes.data() + 8);
  if (header.page_size < 512 || header.page_size > 65536 ||
      (header.page_size & (header.page_size - 1)) != 0) {
    return std::nullopt;
  }
  header.salt = bytes.substr(16, 8);
  checksum(header.big_endian, bytes.substr(0, 24), header.checksum);
  if (header.checksum[0] != big(bytes.data() + 24) ||
      header.checksum[1] != big(bytes.data() + 28)) {
    return std::nullopt;
  }
  return header;
}

WalWalk::WalWalk(const WalHeader& header)
    : header_(header), sum_{header.checksum[0], header.checksum[1]} {}

bool WalWalk::add(std::string_view frame) {
  if (frame.size() != header_.frame_size() || frame.substr(8, 8) != header_.salt ||
      big(frame.data()) == 0) {
    return false;
  }
  uint32_t sum[2] = {sum_[0], sum_[1]};
  checksum(header_.big_endian, frame.substr(0, 8), sum);
  checksum(header_.big_endian, frame.substr(kWalFrameHeader), sum);
  if (sum[0] != big(frame.data() + 16) || sum[1] != big(frame.data() + 20)) return false;
  sum_[0] = sum[0];
  sum_[1] = sum[1];
  ++frames_;
  if (big(frame.data() + 4) != 0) committed_ = frames_;
  return true;
}

}  // namespace palyra::journal::sqlite
