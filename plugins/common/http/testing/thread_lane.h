// A lane for tests with real sockets: functions and timers run on the thread that calls
// run_until().
#pragma once

#include "palyra/world.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace palyra::http::testing {

class SteadyClock : public Clock {
 public:
  int64_t mono_now() const override {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  int64_t wall_now() const override {
    return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
  }
};

// post, post_at and cancel: any thread; run_until: one thread, the lane.
class ThreadLane : public Executor {
 public:
  ~ThreadLane() override {
    for (auto& thread : blocking_) thread.join();
  }
  void post(std::function<void()> fn) override { post_at(0, std::move(fn)); }
  TimerId post_at(int64_t mono_ns, std::function<void()> fn) override {
    const std::lock_guard lock(mutex_);
    queue_.emplace(std::pair(mono_ns, ++last_), std::move(fn));
    wake_.notify_one();
    return last_;
  }
  bool cancel(TimerId timer) override {
    std::function<void()> dropped;
    const std::lock_guard lock(mutex_);
    for (auto it = queue_.begin(); it != queue_.end(); ++it) {
      if (it->first.second != timer) continue;
      dropped = std::move(it->second);
      queue_.erase(it);
      return true;
    }
    return false;
  }
  void post_blocking(std::function<void()> fn) override {
    const std::lock_guard lock(mutex_);
    blocking_.emplace_back(std::move(fn));
  }

  // Runs the lane until `done` holds; false if that takes more than `limit_ms`.
  bool run_until(const std::function<bool()>& done, int64_t limit_ms = 60'000) {
    const int64_t end = clock_.mono_now() + limit_ms * kNanosPerMilli;
    while (!done()) {
      std::function<void()> fn;
      {
        std::unique_lock lock(mutex_);
        const int64_t now = clock_.mono_now();
        if (now >= end) return false;
        if (!queue_.empty() && queue_.begin()->first.first <= now) {
          fn = std::move(queue_.begin()->second);
          queue_.erase(queue_.begin());
        } else {
          const int64_t next = queue_.empty() ? end : std::min(end, queue_.begin()->first.first);
          wake_.wait_for(lock, std::chrono::nanoseconds(next - now));
        }
      }
      if (fn) fn();
    }
    return true;
  }

 private:
  SteadyClock clock_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::pair<int64_t, TimerId>, std::function<void()>> queue_;
  std::vector<std::thread> blocking_;
  TimerId last_ = 0;
};

}  // namespace palyra::http::testing
