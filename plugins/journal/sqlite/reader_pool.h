// Threads that read, each with a connection of its own.
#pragma once

#include "plugins/journal/sqlite/reader.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace palyra::journal::sqlite {

// A job runs on one of the threads with that thread's reader; with nullptr once the pool is closed,
// so that it can complete. Jobs that wait when the pool closes still run. [any thread] for post().
class ReaderPool {
 public:
  using Job = std::function<void(Reader*)>;

  explicit ReaderPool(std::vector<std::unique_ptr<Reader>> readers);
  ~ReaderPool();

  void post(Job job);
  void close();

 private:
  void run(Reader& reader);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool closed_ = false;
  std::vector<std::unique_ptr<Reader>> readers_;
  std::vector<std::thread> threads_;
};

}  // namespace palyra::journal::sqlite
