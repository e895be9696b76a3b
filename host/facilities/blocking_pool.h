// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "host/facilities/thread_pool.h"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace palyra::host {

// Threads for work that blocks, made when first needed and kept. Each client (one instance) has at
// most kClientLimit jobs running; its others wait their turn, so that one instance cannot starve
// the rest.
class BlockingPool {
 public:
  static constexpr size_t kClientLimit = 4;
  static constexpr size_t kThreadLimit = 64;

  // The share of one instance. Must be closed before it is destroyed.
  class Client {
   public:
    explicit Client(BlockingPool& pool) : pool_(pool) {}
    Client(const Client&) = delete;
    void submit(Job job);  // [any]
    // Drops what waits, refuses what comes, returns when nothing runs. [blocking-ok]
    void close();

   private:
    friend class BlockingPool;
    BlockingPool& pool_;
    std::deque<Job> waiting_;  // guarded by pool_.mutex_, as are the next two
    size_t running_ = 0;
    bool closed_ = false;
  };

  BlockingPool() = default;
  ~BlockingPool();  // all clients are closed
  BlockingPool(const BlockingPool&) = delete;

 private:
  struct Entry {
    Client* client;
    Job job;
  };
  void work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable finished_;
  std::deque<Entry> ready_;
  size_t idle_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace palyra::host
