// The Retry-After header, RFC 9110 section 10.2.3.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace palyra::retry {

// Seconds or an HTTP date (all three forms of RFC 9110 5.6.7) as milliseconds from `wall_now_ns`
// (since the epoch), never negative, at most 24 hours. Nothing if it is neither.
std::optional<int64_t> parse_retry_after(std::string_view value, int64_t wall_now_ns);

}  // namespace palyra::retry
