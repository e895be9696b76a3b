#include "plugins/journal/sqlite/write_queue.h"

#include <algorithm>
#include <utility>

namespace palyra::journal::sqlite {

WriteQueue::Push WriteQueue::push(std::unique_ptr<Write>& write) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return Push::kClosed;
    if (!waiting_.empty() &&
        (waiting_.size() >= bounds_.writes || waiting_bytes_ + write->bytes > bounds_.bytes)) {
      return Push::kFull;
    }
    waiting_bytes_ += write->bytes;
    waiting_.push_back(std::move(write));
    wake = wake_at_ != 0 && waiting_.size() >= wake_at_;
    if (wake) wake_at_ = 0;
  }
  if (wake) changed_.notify_one();
  return Push::kTaken;
}

size_t WriteQueue::expected() const {
  const std::lock_guard lock(mutex_);
  return expected_locked();
}

Batch WriteQueue::take() {
  std::unique_lock lock(mutex_);
  const auto urgent = [this] { return closed_ || nudged_; };
  const size_t expected = expected_locked();
  if (expected > 1 && waiting_.size() < expected && !urgent()) {
    wake_at_ = expected;
    changed_.wait_for(lock, kMostWait, [&] { return urgent() || waiting_.size() >= expected; });
  }
  if (waiting_.empty() && !urgent()) {
    wake_at_ = 1;
    changed_.wait(lock, [&] { return urgent() || !waiting_.empty(); });
  }
  wake_at_ = 0;
  nudged_ = false;
  Batch batch;
  const size_t size = std::min(waiting_.size(), batch_max_);
  batch.reserve(size);
  for (size_t i = 0; i < size; ++i) {
    waiting_bytes_ -= waiting_.front()->bytes;
    batch.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  last_batch_ = size;
  return batch;
}

void WriteQueue::nudge() {
  {
    const std::lock_guard lock(mutex_);
    nudged_ = true;
    wake_at_ = 0;
  }
  changed_.notify_one();
}

void WriteQueue::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    wake_at_ = 0;
  }
  changed_.notify_one();
}

bool WriteQueue::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_ && waiting_.empty();
}

}  // namespace palyra::journal::sqlite
