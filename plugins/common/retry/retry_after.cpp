#include "plugins/common/retry/retry_after.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <time.h>

namespace palyra::retry {
namespace {

constexpr int64_t kMaxMs = 24 * 3600 * 1000LL;

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Two digits at `at`; -1 if they are not.
int two_digits(std::string_view text, size_t at) {
  if (at + 2 > text.size()) return -1;
  const char a = text[at];
  const char b = text[at + 1];
  const bool tens = (a >= '0' && a <= '9') || a == ' ';  // asctime pads the day with a space
  if (!tens || b < '0' || b > '9') return -1;
  return (a == ' ' ? 0 : a - '0') * 10 + (b - '0');
}

int number_at(std::string_view text, size_t at, size_t size) {
  int value = -1;
  if (at + size > text.size()) return -1;
  const auto parsed = std::from_chars(text.data() + at, text.data() + at + size, value);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + at + size ? value : -1;
}

int month_of(std::string_view name) {
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const auto at = name.size() == 3 ? kMonths.find(name) : std::string_view::npos;
  return at == std::string_view::npos || at % 3 != 0 ? -1 : static_cast<int>(at / 3);
}

// Seconds since the epoch; independent of the locale, which strptime is not.
std::optional<int64_t> parse_date(std::string_view text) {
  tm date{};
  size_t time_at = 0;
  if (text.size() == 29 && text[3] == ',') {
    // Sun, 06 Nov 1994 08:49:37 GMT
    date.tm_mday = two_digits(text, 5);
    date.tm_mon = month_of(text.substr(8, 3));
    date.tm_year = number_at(text, 12, 4) - 1900;
    time_at = 17;
  } else if (text.size() == 24) {
    // Sun Nov  6 08:49:37 1994
    date.tm_mon = month_of(text.substr(4, 3));
    date.tm_mday = two_digits(text, 8);
    date.tm_year = number_at(text, 20, 4) - 1900;
    time_at = 11;
  } else if (const auto comma = text.find(','); comma != std::string_view::npos) {
    // Sunday, 06-Nov-94 08:49:37 GMT
    const std::string_view rest = text.substr(comma + 1);
    if (rest.size() != 23) return std::nullopt;
    date.tm_mday = two_digits(rest, 1);
    date.tm_mon = month_of(rest.substr(4, 3));
    const int year = number_at(rest, 8, 2);
    if (year < 0) return std::nullopt;
    date.tm_year = year < 70 ? year + 100 : year;
    time_at = comma + 1 + 11;
  } else {
    return std::nullopt;
  }
  date.tm_hour = two_digits(text, time_at);
  date.tm_min = two_digits(text, time_at + 3);
  date.tm_sec = two_digits(text, time_at + 6);
  if (date.tm_mday < 1 || date.tm_mday > 31 || date.tm_mon < 0 || date.tm_year < 0 ||
      date.tm_hour < 0 || date.tm_hour > 23 || date.tm_min < 0 || date.tm_min > 59 ||
      date.tm_sec < 0 || date.tm_sec > 60) {
    return std::nullopt;
  }
  return static_cast<int64_t>(timegm(&date));
}

}  // namespace

std::optional<int64_t> parse_retry_after(std::string_view value, int64_t wall_now_ns) {
  value = trim(value);
  if (value.empty()) return std::nullopt;
  if (value.find_first_not_of("0123456789.") == std::string_view::npos) {
    // Some servers send fractions of a second.
    const std::string_view whole = value.substr(0, value.find('.'));
    int64_t seconds = 0;
    const auto parsed = std::from_chars(whole.data(), whole.data() + whole.size(), seconds);
    if (whole.empty() || parsed.ec == std::errc::invalid_argument) return std::nullopt;
    if (parsed.ec == std::errc::result_out_of_range || seconds > kMaxMs / 1000) return kMaxMs;
    const bool fraction = whole.size() < value.size();
    return std::min<int64_t>(seconds * 1000 + (fraction ? 1000 : 0), kMaxMs);
  }
  const auto date = parse_date(value);
  if (!date) return std::nullopt;
  const int64_t now_ms = wall_now_ns / 1'000'000;
  return std::clamp<int64_t>(*date * 1000 - now_ms, 0, kMaxMs);
}

}  // namespace palyra::retry
