// What the registry counts, for metrics and tests.
#pragma once

#include "palyra/buffer.h"
#include "palyra/clock.h"

#include <atomic>
#include <cstdint>
#include <string>

namespace palyra::registry {

// A snapshot of one (service, instance).
struct ServiceStats {
  std::string service_id;
  std::string instance;
  uint64_t calls = 0;      // started since the registry came up
  uint64_t in_flight = 0;  // not yet completed by the publisher
  uint64_t failures = 0;   // that ended with a status other than OK
  uint64_t faults = 0;     // broken rules: second completion, items beyond the credits, ...
};

// What all parts of one registry share. The tables come from the host and outlive it.
struct Shared {
  const palyra_buffers* buffers = nullptr;
  const palyra_clock* clock = nullptr;
  std::atomic<uint64_t> faults{0};

  void release(palyra_buffer* buffer) const {
    if (buffer != nullptr) buffers->release(buffers->ctx, buffer);
  }
};

}  // namespace palyra::registry
