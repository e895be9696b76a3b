#include "plugins/journal/backup/target.h"

#include <charconv>
#include <ctime>

namespace palyra::journal::backup {
namespace {

// Nanoseconds since 1970 are 64 bits with a sign; 2262 has a beginning only.
constexpr int kFirstYear = 1970;
constexpr int kLastYear = 2261;

}  // namespace

Result<Target> position_target(const std::string& text) {
  Target target;
  target.kind = Target::Kind::kPosition;
  const char* const end = text.data() + text.size();
  const auto [at, problem] = std::from_chars(text.data(), end, target.position);
  if (problem != std::errc() || at != end || target.position == 0) {
    return Status(Code::kInvalidArgument, "\"" + text +
                                              "\" is no position; write a number from 1 on, such "
                                              "as \"palyra backup list\" shows");
  }
  return target;
}

Result<Target> time_target(const std::string& written) {
  const Status wrong(Code::kInvalidArgument,
                     "\"" + written +
                         "\" is no time of 1970 to 2261; write 2026-01-31T12:00:05Z (UTC) or "
                         "\"2026-01-31 12:00:05\" (local)");
  std::string text = written;
  const bool utc_given = !text.empty() && text.back() == 'Z';
  if (utc_given) text.pop_back();
  int64_t nanos = 0;
  if (const size_t dot = text.find('.'); dot != std::string::npos) {
    std::string digits = text.substr(dot + 1);
    if (digits.empty() || digits.size() > 9 ||
        digits.find_first_not_of("0123456789") != std::string::npos) {
      return wrong;
    }
    digits.resize(9, '0');
    nanos = std::stoll(digits);
    text.resize(dot);
  }
  for (const char* format :
       {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    std::tm parts{};
    parts.tm_isdst = -1;
    const char* const end = ::strptime(text.c_str(), format, &parts);
    if (end == nullptr || *end != '\0') continue;
    const int year = parts.tm_year + 1900;
    if (year < kFirstYear || year > kLastYear) return wrong;
    const int day = parts.tm_mday;
    const std::time_t seconds = utc_given ? ::timegm(&parts) : std::mktime(&parts);
    // The 31st of a month that has none, or before 1970 in UTC.
    if (parts.tm_mday != day || seconds < 0) return wrong;
    Target target;
    target.kind = Target::Kind::kTime;
    target.wall_ns = int64_t{seconds} * 1'000'000'000 + nanos;
    return target;
  }
  return wrong;
}

}  // namespace palyra::journal::backup
