// CircuitBreaker: stops asking an endpoint that keeps failing.
#pragma once

#include <cstdint>

namespace palyra::retry {

struct BreakerPolicy {
  // Failures in a row that open it, 1 or more.
  int failures = 3;
  // Milliseconds it stays open before one probe is let through.
  int64_t open_ms = 30'000;
};

// Closed: all pass. After `failures` in a row it is open: none pass. After open_ms it is half-open:
// one probe passes; its success closes the breaker, its failure opens it again. Times are monotonic
// nanoseconds, handed in. One thread.
class CircuitBreaker {
 public:
  enum class State { kClosed, kOpen, kHalfOpen };

  explicit CircuitBreaker(BreakerPolicy policy = {}) : policy_(policy) {}

  // True if a request may be sent now. Each true is followed by exactly one of succeeded(),
  // failed() and abandoned().
  bool allow(int64_t now_ns);
  void succeeded();
  void failed(int64_t now_ns);
  // The request ended without saying anything about the endpoint (cancelled, our own fault).
  void abandoned();

  State state(int64_t now_ns) const;
  // Milliseconds until a probe may pass; 0 if one may now.
  int64_t wait_ms(int64_t now_ns) const;

 private:
  const BreakerPolicy policy_;
  int failures_ = 0;
  bool open_ = false;
  bool probing_ = false;
  int64_t open_until_ns_ = 0;
};

}  // namespace palyra::retry
