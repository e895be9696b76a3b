// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/timer_queue.h"

#include "host/facilities/lane.h"

#include <chrono>
#include <pthread.h>

namespace palyra::host {
namespace {

// steady_clock is CLOCK_MONOTONIC on Linux: the same scale as the ABI's.
palyra_mono_ns now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

constexpr palyra_mono_ns kLongestSleep = 3'600'000'000'000;  // keeps time_point arithmetic in range

}  // namespace

TimerQueue::TimerQueue() : thread_([this] { work(); }) {
  pthread_setname_np(thread_.native_handle(), "palyra-timer");
}

TimerQueue::~TimerQueue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

palyra_handle TimerQueue::add(Lane& lane, palyra_mono_ns when, Job job) {
  const std::lock_guard lock(mutex_);
  uint32_t index = 0;
  if (free_.empty()) {
    index = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
    slots_.back().queue = this;
    slots_.back().index = index;
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Slot& slot = slots_[index];
  slot.lane = &lane;
  slot.job = job;
  slot.when = when;
  slot.state = State::kWaiting;
  const auto position = waiting_.emplace(when, index).first;
  if (position == waiting_.begin()) wake_.notify_one();
  return (uint64_t{slot.generation} << 32) | (index + 1);
}

bool TimerQueue::cancel(palyra_handle timer) {
  const std::lock_guard lock(mutex_);
  const uint64_t number = timer & 0xFFFFFFFFu;
  if (number == 0 || number > slots_.size()) return false;
  Slot& slot = slots_[number - 1];
  if (slot.generation != timer >> 32) return false;
  if (slot.state == State::kWaiting) {
    waiting_.erase({slot.when, slot.index});
    release(slot);
    return true;
  }
  if (slot.state == State::kPosted) {
    slot.state = State::kCancelledPosted;  // fire() frees it: the lane still holds its address
    return true;
  }
  return false;
}

void TimerQueue::forget(Lane& lane) {
  const std::lock_guard lock(mutex_);
  for (Slot& slot : slots_) {
    if (slot.state == State::kFree || slot.lane != &lane) continue;
    if (slot.state == State::kWaiting) waiting_.erase({slot.when, slot.index});
    release(slot);
  }
}

void TimerQueue::release(Slot& slot) {
  slot.state = State::kFree;
  slot.lane = nullptr;
  if (++slot.generation == 0) slot.generation = 1;
  free_.push_back(slot.index);
}

void TimerQueue::fire(void* arg) {
  Slot& slot = *static_cast<Slot*>(arg);
  Job job;
  {
    const std::lock_guard lock(slot.queue->mutex_);
    if (slot.state == State::kPosted) job = slot.job;
    slot.queue->release(slot);
  }
  if (job.run != nullptr) job.run(job.arg);
}

void TimerQueue::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (waiting_.empty()) {
      wake_.wait(lock);
      continue;
    }
    const auto [when, index] = *waiting_.begin();
    const palyra_mono_ns wait = when - now();
    if (when > 0 && wait > 0) {
      wake_.wait_for(lock, std::chrono::nanoseconds(std::min(wait, kLongestSleep)));
      continue;
    }
    waiting_.erase(waiting_.begin());
    Slot& slot = slots_[index];
    slot.state = State::kPosted;
    // Under the lock, so that forget() can promise that nothing refers to the lane.
    slot.lane->post({&TimerQueue::fire, &slot});
  }
}

}  // namespace palyra::host
