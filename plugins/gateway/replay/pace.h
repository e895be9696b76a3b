// Long work on a lane, in pieces.
#pragma once

#include "palyra/task.hpp"

#include <cstddef>
#include <functional>
#include <utility>

namespace palyra::gateway::replay {

// Counts work and lets the lane run others after each piece of it. Work is counted in bytes that
// are read, hashed or copied, so that what is done between two rests depends on no clock. One call,
// one pace; on its lane.
class Pace {
 public:
  // `gone` says whether the client has left; empty = not known.
  explicit Pace(Executor& executor, std::function<bool()> gone = {})
      : executor_(executor), gone_(std::move(gone)) {}

  // True once it is time to rest.
  bool add(size_t bytes) {
    // Even the smallest thing costs something.
    done_ += kLeast + bytes;
    return done_ >= kPiece;
  }
  // False if there is nobody to work for any more.
  Task<bool> rest() {
    done_ = 0;
    const Slot<bool> slot;
    executor_.post([slot] { slot.set(true); });
    co_await slot;
    co_return !gone_ || !gone_();
  }

 private:
  // Some milliseconds.
  static constexpr size_t kPiece = size_t{1} << 20;
  static constexpr size_t kLeast = 4096;

  Executor& executor_;
  const std::function<bool()> gone_;
  size_t done_ = 0;
};

}  // namespace palyra::gateway::replay
