// The operating system's clock and randomness, for programs that use a store without a host.
#pragma once

#include "palyra/world.hpp"

#include <chrono>
#include <sys/random.h>

namespace palyra::journal {

class SystemWorld : public Clock, public Random {
 public:
  int64_t mono_now() const override {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  int64_t wall_now() const override {
    return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
  }
  void fill(void* out, size_t size) override {
    auto* bytes = static_cast<uint8_t*>(out);
    while (size > 0) {
      const ssize_t got = ::getrandom(bytes, size, 0);
      if (got <= 0) continue;
      bytes += got;
      size -= static_cast<size_t>(got);
    }
  }
};

}  // namespace palyra::journal
