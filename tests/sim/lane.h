// Lane: where one process of the simulated machine runs: a daemon, or the database.
#pragma once

#include "palyra/world.hpp"

#include <deque>
#include <functional>
#include <map>
#include <utility>

namespace palyra::sim {

// A queue and timers; the history says which lane goes next. A paused lane keeps what comes in and
// runs nothing, as a stopped process or a suspended machine does.
class Lane final : public Executor {
 public:
  explicit Lane(const Clock& clock) : clock_(clock) {}
  ~Lane() { drop(); }
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  void post(std::function<void()> fn) override { queue_.push_back(std::move(fn)); }
  TimerId post_at(int64_t mono_ns, std::function<void()> fn) override {
    timers_.emplace(std::pair(mono_ns, ++last_timer_), std::move(fn));
    return last_timer_;
  }
  bool cancel(TimerId timer) override {
    for (auto it = timers_.begin(); it != timers_.end(); ++it) {
      if (it->first.second != timer) continue;
      const auto dropped = std::move(it->second);
      timers_.erase(it);
      return true;
    }
    return false;
  }
  void post_blocking(std::function<void()> fn) override { post(std::move(fn)); }

  bool ready() {
    if (paused) return false;
    while (!timers_.empty() && timers_.begin()->first.first <= clock_.mono_now()) {
      queue_.push_back(std::move(timers_.begin()->second));
      timers_.erase(timers_.begin());
    }
    return !queue_.empty();
  }
  void run_one() {
    const auto fn = std::move(queue_.front());
    queue_.pop_front();
    fn();
  }
  // INT64_MAX if there is none, or nobody to run it.
  int64_t next_timer() const {
    return paused || timers_.empty() ? INT64_MAX : timers_.begin()->first.first;
  }
  // Again and again, because what is destroyed may post.
  void drop() {
    while (!queue_.empty() || !timers_.empty()) {
      const auto queue = std::exchange(queue_, {});
      const auto timers = std::exchange(timers_, {});
    }
  }

  bool paused = false;

 private:
  const Clock& clock_;
  std::deque<std::function<void()>> queue_;
  std::map<std::pair<int64_t, TimerId>, std::function<void()>> timers_;
  TimerId last_timer_ = 0;
};

}  // namespace palyra::sim
