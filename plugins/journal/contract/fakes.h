// The world of a store under test.
#pragma once

#include "palyra/world.hpp"

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <random>
#include <utility>

namespace palyra::journal::contract {

class ManualClock : public Clock {
 public:
  int64_t mono_now() const override { return now_; }
  int64_t wall_now() const override { return now_; }
  void advance(int64_t ns) { now_ += ns; }

 private:
  std::atomic<int64_t> now_{1'700'000'000'000'000'000};
};

// Used by one thread at a time, as a store's writer does.
class SeededRandom : public Random {
 public:
  explicit SeededRandom(uint64_t seed = 1) : engine_(seed) {}
  void fill(void* out, size_t size) override {
    for (size_t i = 0; i < size; ++i)
      static_cast<uint8_t*>(out)[i] = static_cast<uint8_t>(engine_());
  }

 private:
  std::mt19937_64 engine_;
};

// Runs what is posted when told to; timers are not needed by a store.
class StepExecutor : public Executor {
 public:
  void post(std::function<void()> fn) override { queue_.push_back(std::move(fn)); }
  TimerId post_at(int64_t, std::function<void()> fn) override {
    post(std::move(fn));
    return 1;
  }
  bool cancel(TimerId) override { return false; }
  void post_blocking(std::function<void()> fn) override { post(std::move(fn)); }

  bool run_one() {
    if (queue_.empty()) return false;
    auto fn = std::move(queue_.front());
    queue_.pop_front();
    fn();
    return true;
  }
  void run_all() {
    while (run_one()) {
    }
  }

 private:
  std::deque<std::function<void()>> queue_;
};

}  // namespace palyra::journal::contract
