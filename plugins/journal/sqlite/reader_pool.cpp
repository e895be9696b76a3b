#include "plugins/journal/sqlite/reader_pool.h"

#include <utility>

namespace palyra::journal::sqlite {

ReaderPool::ReaderPool(std::vector<std::unique_ptr<Reader>> readers)
    : readers_(std::move(readers)) {
  for (const auto& reader : readers_) {
    threads_.emplace_back([this, reader = reader.get()] { run(*reader); });
  }
}

ReaderPool::~ReaderPool() { close(); }

void ReaderPool::post(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      jobs_.push_back(std::move(job));
      job = nullptr;
    }
  }
  if (job) return job(nullptr);
  changed_.notify_one();
}

void ReaderPool::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void ReaderPool::run(Reader& reader) {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closed_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job(&reader);
    job = nullptr;
    lock.lock();
  }
}

}  // namespace palyra::journal::sqlite
