#include "plugins/common/retry/circuit_breaker.h"

namespace palyra::retry {
namespace {
constexpr int64_t kNanosPerMilli = 1'000'000;
}  // namespace

bool CircuitBreaker::allow(int64_t now_ns) {
  switch (state(now_ns)) {
    case State::kClosed:
      return true;
    case State::kOpen:
      return false;
    case State::kHalfOpen:
      if (probing_) return false;
      probing_ = true;
      return true;
  }
  return false;
}

void CircuitBreaker::succeeded() {
  failures_ = 0;
  open_ = false;
  probing_ = false;
}

void CircuitBreaker::failed(int64_t now_ns) {
  ++failures_;
  // A late failure of a request from before it opened does not prolong it.
  if (open_ && !probing_) return;
  if (probing_ || failures_ >= policy_.failures) {
    open_ = true;
    probing_ = false;
    open_until_ns_ = now_ns + policy_.open_ms * kNanosPerMilli;
  }
}

void CircuitBreaker::abandoned() { probing_ = false; }

CircuitBreaker::State CircuitBreaker::state(int64_t now_ns) const {
  if (!open_) return State::kClosed;
  return now_ns < open_until_ns_ ? State::kOpen : State::kHalfOpen;
}

int64_t CircuitBreaker::wait_ms(int64_t now_ns) const {
  if (state(now_ns) != State::kOpen) return 0;
  return (open_until_ns_ - now_ns + kNanosPerMilli - 1) / kNanosPerMilli;
}

}  // namespace palyra::retry
