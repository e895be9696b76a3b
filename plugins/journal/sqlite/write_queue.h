// What waits for the writer, and how long the writer waits for more.
#pragma once

#include "palyra/status.hpp"

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
};

using Batch = std::vector<std::unique_ptr<Write>>;

// Group commit that adapts: a write that finds the writer idle goes at once, alone. After a batch
// of many, as many are expected again: the writer waits for them, at most kMostWait, because a sync
// for half of them costs as much as a sync for all.
class WriteQueue {
 public:
  explicit WriteQueue(size_t batch_max) : batch_max_(batch_max) {}

  // False after close(): the write is not taken and must be completed by the caller. [any thread]
  bool push(std::unique_ptr<Write>& write);
  // The next batch; empty = closed and nothing is left. The writer's thread.
  Batch take();
  // Wakes the writer although there is nothing to write: take() then returns an empty batch once.
  void nudge();
  void close();
  bool closed() const;

 private:
  static constexpr std::chrono::microseconds kMostWait{300};

  const size_t batch_max_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Write>> waiting_;
  // The writer sleeps until so many wait.
  size_t wake_at_ = 0;
  size_t last_batch_ = 0;
  bool nudged_ = false;
  bool closed_ = false;
};

}  // namespace palyra::journal::sqlite
