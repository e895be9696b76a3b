// A journal that is away or full: what is tried again, and when.
#pragma once

#include "plugins/gateway/ports/ports.h"

#include <algorithm>
#include <cstdint>

namespace palyra::gateway {

inline bool try_again(const Status& status) {
  return status.code() == Code::kUnavailable || status.code() == Code::kResourceExhausted ||
         status.code() == Code::kDeadlineExceeded;
}

// Waits of 100 ms, 200 ms, ..., at most 5 s.
class Backoff {
 public:
  explicit Backoff(World& world) : world_(world) {}

  Task<void> wait() {
    const int64_t until = world_.clock.mono_now() + next_ns_;
    next_ns_ = std::min(next_ns_ * 2, 5 * kNanosPerSecond);
    co_await sleep_until(world_.executor, until);
  }

 private:
  World& world_;
  int64_t next_ns_ = 100 * kNanosPerMilli;
};

}  // namespace palyra::gateway
