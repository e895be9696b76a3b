// What waits for the writer, and how long the writer waits for more.
#pragma once

#include "palyra/status.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace palyra::journal::sqlite {

// One write of a batch. run() and complete() on the writer's thread.
class Write {
 public:
  virtual ~Write() = default;
  // Writes to the open transaction. A failure means that the transaction is half-written and the
  // whole batch must be rolled back; a refusal that changed nothing is kept for complete() and is
  // no failure.
  virtual Status run() = 0;
  // The fate of the batch; called exactly once.
  virtual void complete(const Status& batch) = 0;

  // What it holds while it waits, bytes.
  size_t bytes = 0;
};

using Batch = std::vector<std::unique_ptr<Write>>;

// Group commit that adapts: a write that finds the writer idle goes at once, alone. After a batch
// of many, as many are expected again: the writer waits for them, at most kMostWait, because a sync
// for half of them costs as much as a sync for all.
//
// What waits is bounded, in number and in bytes, so that a disk that stands still costs memory that
// is known and not more; one write is always taken, whatever its size.
class WriteQueue {
 public:
  struct Bounds {
    size_t writes = 4096;
    size_t bytes = 64 << 20;
  };
  enum class Push { kTaken, kFull, kClosed };

  WriteQueue(size_t batch_max, Bounds bounds) : batch_max_(batch_max), bounds_(bounds) {}

  // Unless taken, the write stays the caller's, who completes it. [any thread]
  Push push(std::unique_ptr<Write>& write);
  // How many writes take() waits for: 1 = it goes with the first.
  size_t expected() const;
  // The next batch; empty = closed and nothing is left. The writer's thread.
  Batch take();
  // Wakes the writer although there is nothing to write: take() then returns an empty batch once.
  void nudge();
  void close();
  bool closed() const;

 private:
  static constexpr std::chrono::microseconds kMostWait{300};

  size_t expected_locked() const { return std::min(std::max<size_t>(last_batch_, 1), batch_max_); }

  const size_t batch_max_;
  const Bounds bounds_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Write>> waiting_;
  size_t waiting_bytes_ = 0;
  // The writer sleeps until so many wait.
  size_t wake_at_ = 0;
  size_t last_batch_ = 0;
  bool nudged_ = false;
  bool closed_ = false;
};

}  // namespace palyra::journal::sqlite
