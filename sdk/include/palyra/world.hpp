// SPDX-License-Identifier: Apache-2.0
// The world as code sees it: time, randomness, a serial place to run. Everything that decides takes
// these by constructor, so that tests and the simulation can hand in their own (palyra/testing/).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace palyra {

constexpr int64_t kNanosPerMilli = 1'000'000;
constexpr int64_t kNanosPerSecond = 1'000'000'000;

class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic nanoseconds; the same scale as ABI deadlines.
  virtual int64_t mono_now() const = 0;
  // Nanoseconds since the epoch; may jump.
  virtual int64_t wall_now() const = 0;
};

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(void* out, size_t size) = 0;
};

using TimerId = uint64_t;

// A lane. Functions run one at a time in the order of posting, never inside post.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void post(std::function<void()> fn) = 0;
  // At or after `mono_ns`. Never returns 0.
  virtual TimerId post_at(int64_t mono_ns, std::function<void()> fn) = 0;
  // True if the function will not run.
  virtual bool cancel(TimerId timer) = 0;
  // On a thread that may block.
  virtual void post_blocking(std::function<void()> fn) = 0;
};

}  // namespace palyra
