// ULIDs: 48 bits of milliseconds, 80 bits of randomness, as 26 characters of Crockford's base 32 in
// upper case (https://github.com/ulid/spec). Sortable by time; two from one maker in the same
// millisecond still sort in the order they were made.
#pragma once

#include "palyra/world.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace palyra::ids {

constexpr size_t kUlidSize = 26;

// Exactly 26 characters of the alphabet, upper case, not above the largest ULID.
bool is_ulid(std::string_view text);

// Milliseconds since the epoch of a valid ULID.
int64_t ulid_time_ms(std::string_view ulid);

// Not thread-safe.
class UlidMaker {
 public:
  UlidMaker(const Clock& clock, Random& random) : clock_(clock), random_(random) {}
  std::string next();

 private:
  const Clock& clock_;
  Random& random_;
  int64_t last_ms_ = -1;
  std::array<uint8_t, 10> tail_{};
};

}  // namespace palyra::ids
