// Which sessions the retention archives. Pure.
#pragma once

#include <cstdint>

namespace palyra::gateway::retention {

constexpr int64_t kDayMs = 86'400'000;

// What the operator wants kept in the store itself. 0 = no limit.
struct Rules {
  int64_t ttl_days = 0;
  uint64_t max_bytes = 0;

  bool off() const { return ttl_days == 0 && max_bytes == 0; }
};

// A session by the time of its last use, ms; they are asked for oldest first.
struct Candidate {
  int64_t updated_ms = 0;
  bool busy = false;
};

enum class Verdict {
  kArchive,
  // It has a run that has not ended.
  kSkip,
  // It stays, and so do all that were used later.
  kStop,
};

// `used_bytes`: of the store, free pages not counted.
Verdict judge(const Rules& rules, int64_t now_ms, uint64_t used_bytes, const Candidate& session);

}  // namespace palyra::gateway::retention
