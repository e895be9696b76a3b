// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/lane.h"

#include <exception>

namespace palyra::host {

Lane::Lane(ThreadPool& pool, TimerQueue& timers, BlockingPool& blocking, bool parallel, Fault fault)
    : pool_(pool),
      timers_(timers),
      blocking_(blocking),
      width_(parallel ? pool.size() : 1),
      fault_(std::move(fault)) {
  make_table();
}

Lane::~Lane() { close(); }

void Lane::post(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    queue_.push_back(job);
    if (runners_ >= width_ || held_.load(std::memory_order_relaxed)) return;
    ++runners_;
  }
  pool_.submit({&Lane::run_entry, this});
}

palyra_handle Lane::post_at(palyra_mono_ns when, Job job) { return timers_.add(*this, when, job); }

bool Lane::cancel_timer(palyra_handle timer) { return timers_.cancel(timer); }

void Lane::run_entry(void* self) {
  auto* lane = static_cast<Lane*>(self);
  if (lane->width_ == 1) {
    lane->run_serial();
  } else {
    lane->run_parallel();
  }
}

void Lane::run_one(const Job& job) {
  // Every function is noexcept by contract; one that is not must not take the daemon with it.
  try {
    job.run(job.arg);
  } catch (const std::exception& error) {
    if (fault_) fault_(error.what());
  } catch (...) {
    if (fault_) fault_("something that is no std::exception");
  }
}

void Lane::run_serial() {
  {
    const std::lock_guard lock(mutex_);
    if (batch_at_ == batch_.size()) {
      batch_.clear();
      batch_at_ = 0;
      batch_.swap(queue_);
    }
  }
  while (batch_at_ < batch_.size() && !held_.load(std::memory_order_relaxed)) {
    run_one(batch_[batch_at_++]);
  }
  {
    const std::lock_guard lock(mutex_);
    const bool more = batch_at_ < batch_.size() || !queue_.empty();
    if (!more || closed_ || held_.load(std::memory_order_relaxed)) {
      runners_ = 0;
      quiet_.notify_all();  // under the lock: the waiter may destroy the lane
      return;
    }
  }
  pool_.submit({&Lane::run_entry, this});
}

void Lane::run_parallel() {
  std::unique_lock lock(mutex_);
  while (queue_at_ < queue_.size() && !held_.load(std::memory_order_relaxed)) {
    const Job job = queue_[queue_at_++];
    if (queue_at_ == queue_.size()) {
      queue_.clear();
      queue_at_ = 0;
    }
    lock.unlock();
    run_one(job);
    lock.lock();
  }
  --runners_;
  quiet_.notify_all();
}

void Lane::hold() {
  std::unique_lock lock(mutex_);
  held_.store(true, std::memory_order_relaxed);
  quiet_.wait(lock, [this] { return runners_ == 0; });
}

void Lane::release() {
  unsigned start = 0;
  {
    const std::lock_guard lock(mutex_);
    held_.store(false, std::memory_order_relaxed);
    const size_t waiting = (queue_.size() - queue_at_) + (batch_.size() - batch_at_);
    if (closed_ || runners_ > 0) return;
    start = waiting < width_ ? static_cast<unsigned>(waiting) : width_;
    runners_ = start;
  }
  for (; start > 0; --start) pool_.submit({&Lane::run_entry, this});
}

void Lane::close() {
  {
    std::unique_lock lock(mutex_);
    closed_ = true;
    held_.store(true, std::memory_order_relaxed);
    quiet_.wait(lock, [this] { return runners_ == 0; });
    queue_.clear();
    queue_at_ = 0;
    batch_.clear();
    batch_at_ = 0;
  }
  blocking_.close();
  timers_.forget(*this);
}

void Lane::make_table() {
  table_.struct_size = sizeof(table_);
  table_.minor = 0;
  table_.ctx = this;
  table_.post = [](void* ctx, palyra_task_fn fn, void* arg) {
    static_cast<Lane*>(ctx)->post({fn, arg});
  };
  table_.post_at = [](void* ctx, palyra_mono_ns when, palyra_task_fn fn, void* arg) {
    return static_cast<Lane*>(ctx)->post_at(when, {fn, arg});
  };
  table_.cancel_timer = [](void* ctx, palyra_handle timer) {
    return static_cast<Lane*>(ctx)->cancel_timer(timer) ? 1u : 0u;
  };
  table_.post_blocking = [](void* ctx, palyra_task_fn fn, void* arg) {
    static_cast<Lane*>(ctx)->post_blocking({fn, arg});
  };
}

}  // namespace palyra::host
