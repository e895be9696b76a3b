// A small world for tests and benchmarks of the registry: a lane, buffers, a clock. No host needed.
#pragma once

#include "palyra/buffer.h"
#include "palyra/clock.h"
#include "palyra/executor.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace palyra::registry {

// palyra.executor/1 over a queue. Functions run on whoever calls run_ready() or run_one(), or on
// the thread of start(); one at a time in the order of posting. Time is what advance_to() says.
class LocalLane {
 public:
  LocalLane() {
    table_.struct_size = sizeof(table_);
    table_.ctx = this;
    table_.post = [](void* ctx, palyra_task_fn fn, void* arg) {
      static_cast<LocalLane*>(ctx)->post(fn, arg);
    };
    table_.post_at = [](void* ctx, palyra_mono_ns when, palyra_task_fn fn, void* arg) {
      auto* self = static_cast<LocalLane*>(ctx);
      std::lock_guard lock(self->mutex_);
      self->timers_.push_back({++self->last_timer_, when, fn, arg});
      return self->last_timer_;
    };
    table_.cancel_timer = [](void* ctx, palyra_handle timer) -> uint32_t {
      auto* self = static_cast<LocalLane*>(ctx);
      std::lock_guard lock(self->mutex_);
      return std::erase_if(self->timers_, [&](const Timer& t) { return t.id == timer; }) != 0;
    };
    table_.post_blocking = table_.post;
  }
  ~LocalLane() { stop(); }
  LocalLane(const LocalLane&) = delete;

  const palyra_executor* table() const { return &table_; }

  void post(palyra_task_fn fn, void* arg) {
    std::lock_guard lock(mutex_);
    queue_.emplace_back(fn, arg);
    if (waiting_) wake_.notify_one();
  }
  // Runs what is posted now and what that posts; the number of functions.
  size_t run_ready() {
    size_t count = 0;
    for (;;) {
      {
        std::lock_guard lock(mutex_);
        running_.swap(queue_);
      }
      if (running_.empty()) return count;
      for (const auto& [fn, arg] : running_) fn(arg);
      count += running_.size();
      running_.clear();
    }
  }
  // Posts the timers that are due.
  void advance_to(palyra_mono_ns now) {
    std::lock_guard lock(mutex_);
    for (const Timer& timer : timers_) {
      if (timer.when <= now) queue_.emplace_back(timer.fn, timer.arg);
    }
    std::erase_if(timers_, [&](const Timer& timer) { return timer.when <= now; });
  }
  size_t timers() {
    std::lock_guard lock(mutex_);
    return timers_.size();
  }

  // A thread of its own until stop(), which runs what is left.
  void start() {
    thread_ = std::thread([this] {
      std::unique_lock lock(mutex_);
      for (;;) {
        waiting_ = true;
        wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        waiting_ = false;
        if (queue_.empty()) return;
        lock.unlock();
        run_ready();
        lock.lock();
      }
    });
  }
  void stop() {
    if (!thread_.joinable()) return;
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      wake_.notify_one();
    }
    thread_.join();
  }

 private:
  struct Timer {
    palyra_handle id = 0;
    palyra_mono_ns when = 0;
    palyra_task_fn fn = nullptr;
    void* arg = nullptr;
  };

  palyra_executor table_{};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::pair<palyra_task_fn, void*>> queue_;
  std::vector<std::pair<palyra_task_fn, void*>> running_;
  std::vector<Timer> timers_;
  palyra_handle last_timer_ = 0;
  std::thread thread_;
  bool waiting_ = false;
  bool stopping_ = false;
};

// palyra.buffer/1 over malloc; live() says what was not released.
class LocalBuffers {
 public:
  LocalBuffers() {
    table_.struct_size = sizeof(table_);
    table_.ctx = this;
    table_.alloc = [](void* ctx, uint64_t size, uint8_t** data) -> palyra_buffer* {
      void* memory = std::malloc(sizeof(Block) + static_cast<size_t>(size));
      if (memory == nullptr) return nullptr;
      auto* block = new (memory) Block{{1}, size};
      static_cast<LocalBuffers*>(ctx)->live_.fetch_add(1, std::memory_order_relaxed);
      *data = reinterpret_cast<uint8_t*>(block + 1);
      return reinterpret_cast<palyra_buffer*>(block);
    };
    table_.seal = [](void*, palyra_buffer* buffer, uint64_t size) {
      reinterpret_cast<Block*>(buffer)->size = size;
    };
    table_.view = [](void*, const palyra_buffer* buffer) -> palyra_bytes {
      const auto* block = reinterpret_cast<const Block*>(buffer);
      return {reinterpret_cast<const uint8_t*>(block + 1), block->size};
    };
    table_.retain = [](void*, palyra_buffer* buffer) {
      reinterpret_cast<Block*>(buffer)->references.fetch_add(1);
    };
    table_.release = [](void* ctx, palyra_buffer* buffer) {
      auto* block = reinterpret_cast<Block*>(buffer);
      if (block == nullptr || block->references.fetch_sub(1) != 1) return;
      static_cast<LocalBuffers*>(ctx)->live_.fetch_sub(1, std::memory_order_relaxed);
      block->~Block();
      std::free(block);
    };
  }
  LocalBuffers(const LocalBuffers&) = delete;

  const palyra_buffers* table() const { return &table_; }
  int64_t live() const { return live_.load(); }

 private:
  struct Block {
    std::atomic<uint32_t> references;
    uint64_t size;
  };
  palyra_buffers table_{};
  std::atomic<int64_t> live_{0};
};

// palyra.clock/1 that stands still.
class LocalClock {
 public:
  LocalClock() {
    table_.struct_size = sizeof(table_);
    table_.ctx = this;
    table_.mono_now = [](void* ctx) { return static_cast<LocalClock*>(ctx)->now.load(); };
    table_.wall_now = [](void* ctx) -> int64_t {
      return static_cast<LocalClock*>(ctx)->now.load();
    };
  }
  LocalClock(const LocalClock&) = delete;
  const palyra_clock* table() const { return &table_; }
  std::atomic<int64_t> now{1};

 private:
  palyra_clock table_{};
};

}  // namespace palyra::registry
