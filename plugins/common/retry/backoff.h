// How long to wait before trying again.
#pragma once

#include "palyra/world.hpp"

#include <cstdint>

namespace palyra::retry {

struct BackoffPolicy {
  // Tries after the first; 0 = none.
  int retries = 2;
  // Milliseconds before the first retry; doubles each time.
  int64_t base_ms = 150;
  // No wait is longer, in milliseconds.
  int64_t max_ms = 10'000;
};

// The wait before retry `n` (1, 2, ...) in milliseconds: half of base_ms x 2^(n-1), bounded by
// max_ms, plus a random part of the other half, so that many callers do not come back together.
// `retry_after_ms` is what the server asked for (0 = nothing): the wait is then at least that. -1
// if there is to be no retry `n`, or the server asks for more than max_ms.
int64_t backoff_ms(const BackoffPolicy& policy, int n, int64_t retry_after_ms, Random& random);

}  // namespace palyra::retry
