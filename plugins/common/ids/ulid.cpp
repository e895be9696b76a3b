#include "plugins/common/ids/ulid.h"

#include <algorithm>

namespace palyra::ids {

namespace {

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr size_t kTimeCharacters = 10;

}  // namespace

bool is_ulid(std::string_view text) {
  return text.size() == kUlidSize && text[0] <= '7' &&
         text.find_first_not_of(kAlphabet) == std::string_view::npos;
}

int64_t ulid_time_ms(std::string_view ulid) {
  int64_t millis = 0;
  for (size_t i = 0; i < kTimeCharacters; ++i) {
    millis = millis << 5 | static_cast<int64_t>(kAlphabet.find(ulid[i]));
  }
  return millis;
}

std::string UlidMaker::next() {
  // A clock that goes back must not break the order.
  const int64_t now_ms = std::max(clock_.wall_now() / kNanosPerMilli, last_ms_);
  if (now_ms != last_ms_) {
    last_ms_ = now_ms;
    random_.fill(tail_.data(), tail_.size());
    // Room to count up within the millisecond.
    tail_[0] &= 0x7f;
  } else {
    for (size_t i = tail_.size(); i-- > 0 && ++tail_[i] == 0;) {
    }
  }
  std::string text(kUlidSize, '0');
  int64_t millis = last_ms_;
  for (size_t i = kTimeCharacters; i-- > 0; millis >>= 5) {
    text[i] = kAlphabet[static_cast<size_t>(millis & 31)];
  }
  uint32_t bits = 0;
  int held = 0;
  size_t at = kTimeCharacters;
  for (const uint8_t byte : tail_) {
    bits = bits << 8 | byte;
    held += 8;
    while (held >= 5) {
      held -= 5;
      text[at++] = kAlphabet[bits >> held & 31];
    }
  }
  return text;
}

}  // namespace palyra::ids
