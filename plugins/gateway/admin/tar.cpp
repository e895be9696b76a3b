#include "plugins/gateway/admin/tar.h"

#include <algorithm>

namespace palyra::gateway::tar {
namespace {

std::string octal(uint64_t value, size_t digits) {
  std::string out(digits, '0');
  for (; digits > 0; value >>= 3) out[--digits] = static_cast<char>('0' + (value & 7));
  return out;
}

// Twelve bytes: eleven octal digits, or the number in base 256 behind a byte 0x80.
std::string number(uint64_t value) {
  constexpr uint64_t kMostOctal = (uint64_t{1} << 33) - 1;
  if (value <= kMostOctal) return octal(value, 11) + '\0';
  std::string field(12, '\0');
  field[0] = '\x80';
  for (size_t i = 0; i < sizeof value; ++i) {
    field[field.size() - 1 - i] = static_cast<char>(value >> (8 * i));
  }
  return field;
}

void put(std::string& block, size_t offset, size_t most, const std::string& text) {
  std::copy_n(text.begin(), std::min(most, text.size()), block.begin() + static_cast<long>(offset));
}

}  // namespace

std::string header(const std::string& directory, const std::string& name, uint64_t size,
                   int64_t time_s) {
  std::string block(kBlock, '\0');
  put(block, 0, 100, name);
  put(block, 100, 8, "0000600");
  put(block, 108, 8, "0000000");
  put(block, 116, 8, "0000000");
  put(block, 124, 12, number(size));
  put(block, 136, 12, number(static_cast<uint64_t>(std::max<int64_t>(time_s, 0))));
  put(block, 148, 8, "        ");
  block[156] = '0';
  put(block, 257, 8, std::string("ustar\00000", 8));
  put(block, 345, 155, directory);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put(block, 148, 8, octal(sum, 6) + '\0' + ' ');
  return block;
}

std::string padding(uint64_t size) {
  return std::string(static_cast<size_t>((kBlock - size % kBlock) % kBlock), '\0');
}

std::string end() { return std::string(2 * kBlock, '\0'); }

}  // namespace palyra::gateway::tar
