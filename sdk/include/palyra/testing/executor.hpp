// SPDX-License-Identifier: Apache-2.0
// ManualClock and DeterministicExecutor: time that moves when the test says so, and one lane that
// runs when the test says so.
#pragma once

#include "palyra/world.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <utility>

namespace palyra::testing {

// Starts at one second after boot and at 2026-01-01T00:00:00Z.
class ManualClock final : public Clock {
 public:
  int64_t mono_now() const override { return mono_; }
  int64_t wall_now() const override { return wall_; }
  void advance(int64_t ns) {
    mono_ += ns;
    wall_ += ns;
  }
  // The wall clock jumps, as an operator or NTP may make it.
  void jump_wall(int64_t ns) { wall_ += ns; }

 private:
  int64_t mono_ = kNanosPerSecond;
  int64_t wall_ = 1'767'225'600 * kNanosPerSecond;
};

// A lane whose functions run inside run_one() and its friends, on the test's thread. Lane functions
// keep their order; blocking functions and due timers are interleaved with them by the seed (0 =
// lane first, then blocking). post() may come from any thread; all else is the test's thread.
class DeterministicExecutor final : public Executor {
 public:
  explicit DeterministicExecutor(ManualClock& clock, uint64_t seed = 0)
      : clock_(clock), seeded_(seed != 0), random_(seed) {}

  void post(std::function<void()> fn) override {
    std::lock_guard lock(mutex_);
    lane_.push_back(std::move(fn));
  }
  TimerId post_at(int64_t mono_ns, std::function<void()> fn) override {
    std::lock_guard lock(mutex_);
    const TimerId id = ++last_timer_;
    timers_.emplace(std::pair(mono_ns, id), std::move(fn));
    return id;
  }
  bool cancel(TimerId timer) override {
    std::function<void()> dropped;
    std::lock_guard lock(mutex_);
    for (auto it = timers_.begin(); it != timers_.end(); ++it) {
      if (it->first.second != timer) continue;
      dropped = std::move(it->second);
      timers_.erase(it);
      return true;
    }
    return false;
  }
  void post_blocking(std::function<void()> fn) override {
    std::lock_guard lock(mutex_);
    blocking_.push_back(std::move(fn));
  }

  // Runs one function that is ready. False if there is none.
  bool run_one() {
    std::function<void()> fn = take();
    if (!fn) return false;
    fn();
    return true;
  }
  // Until nothing is ready. The number that ran.
  size_t run_until_idle() {
    size_t count = 0;
    while (run_one()) ++count;
    return count;
  }
  // Moves time by `ns`, stopping at each timer on the way and running what it makes ready.
  void advance(int64_t ns) {
    run_until_idle();
    const int64_t until = clock_.mono_now() + ns;
    while (next_timer() <= until) {
      clock_.advance(next_timer() - clock_.mono_now());
      run_until_idle();
    }
    clock_.advance(until - clock_.mono_now());
    run_until_idle();
  }
  // When the next timer is due; INT64_MAX if there is none.
  int64_t next_timer() const {
    std::lock_guard lock(mutex_);
    return timers_.empty() ? INT64_MAX : timers_.begin()->first.first;
  }
  bool idle() const {
    std::lock_guard lock(mutex_);
    return lane_.empty() && blocking_.empty() && timers_.empty();
  }
  // Drops all that is queued, as a host does after an instance's stop.
  void drop() {
    decltype(lane_) lane, blocking;
    decltype(timers_) timers;
    std::lock_guard lock(mutex_);
    lane.swap(lane_);
    blocking.swap(blocking_);
    timers.swap(timers_);
  }

 private:
  std::function<void()> take() {
    std::lock_guard lock(mutex_);
    // A timer that has come due joins the lane.
    while (!timers_.empty() && timers_.begin()->first.first <= clock_.mono_now()) {
      lane_.push_back(std::move(timers_.begin()->second));
      timers_.erase(timers_.begin());
    }
    auto* queue = &lane_;
    if (lane_.empty() || (seeded_ && !blocking_.empty() && random_() % 2 == 0)) queue = &blocking_;
    if (queue->empty()) return nullptr;
    std::function<void()> fn = std::move(queue->front());
    queue->pop_front();
    return fn;
  }

  ManualClock& clock_;
  const bool seeded_;
  std::mt19937_64 random_;
  mutable std::mutex mutex_;
  std::deque<std::function<void()>> lane_;
  std::deque<std::function<void()>> blocking_;
  std::map<std::pair<int64_t, TimerId>, std::function<void()>> timers_;
  TimerId last_timer_ = 0;
};

}  // namespace palyra::testing
