// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "host/facilities/blocking_pool.h"
#include "host/facilities/thread_pool.h"
#include "host/facilities/timer_queue.h"
#include "palyra/executor.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace palyra::host {

// The serial place where an instance's functions run, on the shared pool.
//
// At most `width` pool threads run functions of one lane: 1 (serial, in the order of posting) or
// the pool's size (concurrency "any"). A lane with work is in the pool's queue once for each
// running thread, so a post to a busy lane is one push under an uncontended lock and wakes nobody.
// A runner takes everything queued as one batch and, when it is done, goes to the back of the
// pool's queue.
//
// A lifecycle step holds the lane: while held, nothing of it runs. close() ends it for good.
class Lane {
 public:
  // What a function threw past the ABI; the lane goes on. Called on the lane.
  using Fault = std::function<void(const char* what)>;

  Lane(ThreadPool& pool, TimerQueue& timers, BlockingPool& blocking, bool parallel, Fault fault);
  ~Lane();  // closed
  Lane(const Lane&) = delete;

  void post(Job job);                                     // [any]
  palyra_handle post_at(palyra_mono_ns when, Job job);    // [any]
  bool cancel_timer(palyra_handle timer);                 // [any]
  void post_blocking(Job job) { blocking_.submit(job); }  // [any]

  // Waits until no function runs and keeps it so until release. Not from the lane. [blocking-ok]
  void hold();
  void release();
  // Drops everything queued and to come, and waits for what runs. Idempotent; may be called while
  // held. Not from the lane. [blocking-ok]
  void close();

  const palyra_executor& table() const { return table_; }

 private:
  static void run_entry(void* self);
  void run_serial();
  void run_parallel();
  void run_one(const Job& job);
  void make_table();

  ThreadPool& pool_;
  TimerQueue& timers_;
  BlockingPool::Client blocking_;
  const unsigned width_;
  const Fault fault_;
  palyra_executor table_ = {};

  std::mutex mutex_;  // guards all below
  std::condition_variable quiet_;
  std::vector<Job> queue_;
  size_t queue_at_ = 0;  // parallel: the next of queue_ to run
  unsigned runners_ = 0;
  bool closed_ = false;
  std::atomic<bool> held_{false};  // written under mutex_, read between two functions

  // Serial: the batch in work. Owned by the one runner, by holder or closer when there is none.
  std::vector<Job> batch_;
  size_t batch_at_ = 0;
};

}  // namespace palyra::host
