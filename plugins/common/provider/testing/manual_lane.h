// A lane and a clock that move only when the test says so.
#pragma once

#include "palyra/world.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <utility>

namespace palyra::provider::testing {

// Single-threaded. Time starts at one second and moves by advance_ms().
class ManualLane : public Clock, public Executor {
 public:
  int64_t mono_now() const override { return now_; }
  int64_t wall_now() const override { return now_ + kWallOffset; }

  void post(std::function<void()> fn) override { ready_.push_back(std::move(fn)); }
  TimerId post_at(int64_t mono_ns, std::function<void()> fn) override {
    timers_.emplace(std::pair(mono_ns, ++last_timer_), std::move(fn));
    ++timers_set_;
    return last_timer_;
  }
  bool cancel(TimerId timer) override {
    for (auto it = timers_.begin(); it != timers_.end(); ++it) {
      if (it->first.second != timer) continue;
      timers_.erase(it);
      return true;
    }
    return false;
  }
  void post_blocking(std::function<void()> fn) override { post(std::move(fn)); }

  // Runs what is posted until nothing is.
  void run() {
    while (!ready_.empty()) {
      auto fn = std::move(ready_.front());
      ready_.pop_front();
      fn();
    }
  }
  // Runs one posted function; false if there is none.
  bool run_one() {
    if (ready_.empty()) return false;
    auto fn = std::move(ready_.front());
    ready_.pop_front();
    fn();
    return true;
  }
  // Moves time, running timers in their order and everything they post.
  void advance_ms(int64_t ms) {
    run();
    const int64_t end = now_ + ms * kNanosPerMilli;
    while (!timers_.empty() && timers_.begin()->first.first <= end) {
      auto node = timers_.extract(timers_.begin());
      now_ = std::max(now_, node.key().first);
      node.mapped()();
      run();
    }
    now_ = end;
  }

  size_t timers() const { return timers_.size(); }
  size_t timers_set() const { return timers_set_; }

 private:
  static constexpr int64_t kWallOffset = 1'700'000'000 * kNanosPerSecond;
  int64_t now_ = kNanosPerSecond;
  std::deque<std::function<void()>> ready_;
  std::map<std::pair<int64_t, TimerId>, std::function<void()>> timers_;
  TimerId last_timer_ = 0;
  size_t timers_set_ = 0;
};

}  // namespace palyra::provider::testing
