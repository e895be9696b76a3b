// A mutex between coroutines of one lane.
#pragma once

#include "palyra/task.hpp"
#include "palyra/world.hpp"

#include <deque>
#include <memory>
#include <utility>

namespace palyra::gateway {

// Handed over in the order of asking, from the executor. A guard may outlive the mutex; a waiter
// that is destroyed is passed over.
class Mutex {
  struct Shared;

 public:
  explicit Mutex(Executor& executor) : shared_(std::make_shared<Shared>(executor)) {}

  class Guard {
   public:
    Guard() = default;
    Guard(Guard&&) noexcept = default;
    Guard& operator=(Guard&& other) noexcept {
      release();
      shared_ = std::move(other.shared_);
      return *this;
    }
    ~Guard() { release(); }
    explicit operator bool() const { return shared_ != nullptr; }
    void release() {
      if (auto shared = std::exchange(shared_, nullptr)) Mutex::release(std::move(shared));
    }

   private:
    friend class Mutex;
    explicit Guard(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
    std::shared_ptr<Shared> shared_;
  };

  Task<Guard> lock() {
    const auto shared = shared_;
    if (!std::exchange(shared->held, true)) co_return Guard(shared);
    const Presence presence;
    Slot<bool> turn;
    shared->waiters.push_back({presence.here, turn});
    co_await turn;
    co_return Guard(shared);
  }

 private:
  // Says whether the frame it lives in is still there.
  struct Presence {
    std::shared_ptr<bool> here = std::make_shared<bool>(true);
    ~Presence() { *here = false; }
  };
  struct Waiter {
    std::shared_ptr<bool> here;
    Slot<bool> turn;
  };
  struct Shared {
    explicit Shared(Executor& e) : executor(e) {}
    Executor& executor;
    bool held = false;
    std::deque<Waiter> waiters;
  };

  static void release(std::shared_ptr<Shared> shared) {
    while (!shared->waiters.empty() && !*shared->waiters.front().here) {
      shared->waiters.pop_front();
    }
    if (shared->waiters.empty()) {
      shared->held = false;
      return;
    }
    Executor& executor = shared->executor;
    executor.post([shared = std::move(shared)]() mutable {
      while (!shared->waiters.empty()) {
        const Waiter next = std::move(shared->waiters.front());
        shared->waiters.pop_front();
        if (*next.here) return next.turn.set(true);
      }
      shared->held = false;
    });
  }

  std::shared_ptr<Shared> shared_;
};

}  // namespace palyra::gateway
