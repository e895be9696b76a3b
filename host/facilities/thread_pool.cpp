// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/thread_pool.h"

#include <algorithm>
#include <pthread.h>

namespace palyra::host {

ThreadPool::ThreadPool(unsigned threads) {
  if (threads == 0) threads = std::max(2u, std::thread::hardware_concurrency());
  for (unsigned i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { work(); });
    pthread_setname_np(threads_.back().native_handle(), "palyra-lane");
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void ThreadPool::submit(Job job) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(job);
    wake = idle_ > 0;
  }
  if (wake) wake_.notify_one();
}

void ThreadPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    while (jobs_.empty()) {
      if (stopping_) return;
      ++idle_;
      wake_.wait(lock);
      --idle_;
    }
    const Job job = jobs_.front();
    jobs_.pop_front();
    lock.unlock();
    job.run(job.arg);
    lock.lock();
  }
}

}  // namespace palyra::host
