#include "clients/cli/when.h"

#include <charconv>
#include <chrono>
#include <ctime>

namespace palyra::cli {

namespace {

// 0 = there is no such unit.
int64_t seconds_of(char unit) {
  switch (unit) {
    case 's':
      return 1;
    case 'm':
      return 60;
    case 'h':
      return 3600;
    case 'd':
      return 86'400;
    case 'w':
      return 7 * 86'400;
    default:
      return 0;
  }
}

}  // namespace

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::optional<int64_t> moment_ms(const std::string& text, int64_t now_ms) {
  int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [unit, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && unit + 1 == end && number >= 0 && number < 1'000'000) {
    const int64_t seconds = seconds_of(*unit);
    if (seconds == 0) return {};
    return now_ms - number * seconds * 1000;
  }
  for (const char* form : {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"}) {
    std::tm parts{};
    const char* const rest = ::strptime(text.c_str(), form, &parts);
    if (rest != nullptr && *rest == '\0') return int64_t{::timegm(&parts)} * 1000;
  }
  return {};
}

}  // namespace palyra::cli
