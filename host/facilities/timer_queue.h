// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "host/facilities/thread_pool.h"
#include "palyra/abi.h"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace palyra::host {

class Lane;

// All timers of the daemon on one thread, which sleeps until the earliest. A due timer is posted to
// its lane; until it really runs there it can still be cancelled, so on the lane the answer of
// cancel is final. Handles are slot and generation: one that has run or was cancelled is refused.
class TimerQueue {
 public:
  TimerQueue();
  ~TimerQueue();  // no lane uses it any more
  TimerQueue(const TimerQueue&) = delete;

  palyra_handle add(Lane& lane, palyra_mono_ns when, Job job);  // [any]
  // True if the job will not run. [any]
  bool cancel(palyra_handle timer);
  // Forgets all timers of a lane that drops its posts; afterwards nothing refers to it. [any]
  void forget(Lane& lane);

 private:
  enum class State : uint8_t { kFree, kWaiting, kPosted, kCancelledPosted };
  struct Slot {
    TimerQueue* queue = nullptr;
    Lane* lane = nullptr;
    Job job;
    palyra_mono_ns when = 0;
    uint32_t index = 0;
    uint32_t generation = 1;
    State state = State::kFree;
  };

  void work();
  static void fire(void* slot);  // on the lane
  void release(Slot& slot);

  std::mutex mutex_;  // guards all below but thread_
  std::condition_variable wake_;
  std::deque<Slot> slots_;  // stable addresses
  std::vector<uint32_t> free_;
  std::set<std::pair<palyra_mono_ns, uint32_t>> waiting_;  // (when, slot)
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace palyra::host
