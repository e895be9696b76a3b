// Dice: the one source of chance, so that a seed says all.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace palyra::sim {

// Every pick is noted, so that a history can be told again from its choices alone and made smaller:
// the lowest value is always the dullest (nothing happens, nothing fails), and choices that are
// missing count as it.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed * 0x9E37'79B9'7F4A'7C15U + 0x1234'5678'9ABC'DEF1U) {}
  explicit Dice(std::vector<uint32_t> choices) : told_(true), choices_(std::move(choices)) {}

  int64_t pick(int64_t low, int64_t high) {
    const auto span = static_cast<uint64_t>(high - low + 1);
    uint64_t chosen = 0;
    if (told_) {
      if (next_ < choices_.size()) chosen = choices_[next_] % span;
      ++next_;
    } else {
      chosen = random() % span;
      choices_.push_back(static_cast<uint32_t>(chosen));
    }
    return low + static_cast<int64_t>(chosen);
  }
  bool chance(int percent) { return pick(0, 99) >= 100 - percent; }

  const std::vector<uint32_t>& choices() const { return choices_; }

 private:
  // splitmix64
  uint64_t random() {
    uint64_t z = (state_ += 0x9E37'79B9'7F4A'7C15U);
    z = (z ^ (z >> 30)) * 0xBF58'476D'1CE4'E5B9U;
    z = (z ^ (z >> 27)) * 0x94D0'49BB'1331'11EBU;
    return z ^ (z >> 31);
  }

  bool told_ = false;
  uint64_t state_ = 0;
  size_t next_ = 0;
  std::vector<uint32_t> choices_;
};

}  // namespace palyra::sim
