#include "plugins/common/retry/backoff.h"

#include <algorithm>

namespace palyra::retry {

int64_t backoff_ms(const BackoffPolicy& policy, int n, int64_t retry_after_ms, Random& random) {
  if (n < 1 || n > policy.retries || retry_after_ms > policy.max_ms) return -1;
  const int doublings = std::min(n - 1, 30);
  const int64_t base = std::max<int64_t>(policy.base_ms, 0);
  // Bounded before it can overflow.
  const int64_t whole = base > (policy.max_ms >> doublings)
                            ? policy.max_ms
                            : std::min(base << doublings, policy.max_ms);
  uint64_t noise = 0;
  random.fill(&noise, sizeof(noise));
  const int64_t half = whole / 2;
  const auto jitter = static_cast<int64_t>(noise % static_cast<uint64_t>(whole - half + 1));
  return std::max(half + jitter, retry_after_ms);
}

}  // namespace palyra::retry
