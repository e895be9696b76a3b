// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/blocking_pool.h"

#include <pthread.h>

namespace palyra::host {

void BlockingPool::Client::submit(Job job) {
  const std::lock_guard lock(pool_.mutex_);
  if (closed_) return;
  if (running_ == kClientLimit) {
    waiting_.push_back(job);
    return;
  }
  ++running_;
  pool_.ready_.push_back({this, job});
  // Threads that were woken but have not run yet still count as idle: compare with what is queued.
  if (pool_.idle_ < pool_.ready_.size() && pool_.threads_.size() < kThreadLimit) {
    pool_.threads_.emplace_back([pool = &pool_] { pool->work(); });
    pthread_setname_np(pool_.threads_.back().native_handle(), "palyra-block");
  } else {
    pool_.wake_.notify_one();
  }
}

void BlockingPool::Client::close() {
  std::unique_lock lock(pool_.mutex_);
  closed_ = true;
  waiting_.clear();
  running_ -= std::erase_if(pool_.ready_, [this](const Entry& e) { return e.client == this; });
  pool_.finished_.wait(lock, [this] { return running_ == 0; });
}

BlockingPool::~BlockingPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void BlockingPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    while (ready_.empty()) {
      if (stopping_) return;
      ++idle_;
      wake_.wait(lock);
      --idle_;
    }
    const Entry entry = ready_.front();
    ready_.pop_front();
    lock.unlock();
    entry.job.run(entry.job.arg);
    lock.lock();
    Client& client = *entry.client;
    if (!client.waiting_.empty()) {
      ready_.push_back({&client, client.waiting_.front()});
      client.waiting_.pop_front();
    } else if (--client.running_ == 0) {
      finished_.notify_all();
    }
  }
}

}  // namespace palyra::host
