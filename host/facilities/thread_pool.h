// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace palyra::host {

// A function and its argument, as they cross the ABI.
struct Job {
  void (*run)(void*) = nullptr;
  void* arg = nullptr;
};

// A fixed number of threads that run jobs in the order of submission. Jobs do not block; what
// blocks belongs into BlockingPool. An idle pool costs nothing: threads sleep on a condition
// variable, and a submit wakes at most one, only if one sleeps.
class ThreadPool {
 public:
  // 0 = one for each processor, at least 2.
  explicit ThreadPool(unsigned threads);
  // Runs what is queued, then joins. Nobody submits any more.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;

  void submit(Job job);  // [any]
  unsigned size() const { return static_cast<unsigned>(threads_.size()); }

 private:
  void work();

  std::mutex mutex_;  // guards all below but threads_
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  size_t idle_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace palyra::host
