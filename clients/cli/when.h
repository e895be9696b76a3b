// Moments as people write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace palyra::cli {

// For messages about a word that is none.
inline constexpr char kMomentExamples[] = "7d, 24h, 2026-01-31 or 2026-01-31T12:00:00Z";

int64_t now_ms();
// Wall time in ms of "90s", "15m", "24h", "7d", "2w" before `now_ms`, of the beginning of the UTC
// day "2026-01-31", or of "2026-01-31T12:00:00Z". Empty for anything else.
std::optional<int64_t> moment_ms(const std::string& text, int64_t now_ms);

}  // namespace palyra::cli
