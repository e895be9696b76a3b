// Templates of SqliteStore that its sources share.
#pragma once

#include "plugins/journal/sqlite/store.h"

#include <future>
#include <optional>
#include <utility>

namespace palyra::journal {

inline Status closing() {
  return {Code::kUnavailable, "the journal is closing", PALYRA_ERROR_RETRYABLE};
}

inline Status queue_full() {
  return {Code::kResourceExhausted,
          "the journal has as many writes waiting as it takes: the disk is slower than what comes; "
          "try again",
          PALYRA_ERROR_RETRYABLE};
}

// A write whose work is fn(wrote) -> Result<T>; `wrote` says that a failure left half of it.
template <typename T, typename Fn>
class SqliteStore::WriteOf : public sqlite::Write {
 public:
  WriteOf(Done<T> done, Fn fn) : done_(std::move(done)), fn_(std::move(fn)) {}

  Status run() override {
    bool wrote = false;
    result_.emplace(fn_(wrote));
    return !result_->ok() && wrote ? result_->status() : Status();
  }
  void complete(const Status& batch) override {
    const bool refused = result_ && !result_->ok();
    done_(batch.ok() || refused ? std::move(*result_) : Result<T>(batch));
  }

 private:
  Done<T> done_;
  Fn fn_;
  std::optional<Result<T>> result_;
};

template <typename T, typename Fn>
void SqliteStore::write(Done<T> done, Fn fn, size_t bytes) {
  std::unique_ptr<sqlite::Write> write =
      std::make_unique<WriteOf<T, Fn>>(std::move(done), std::move(fn));
  write->bytes = bytes;
  const sqlite::WriteQueue::Push pushed = queue_.push(write);
  if (pushed == sqlite::WriteQueue::Push::kTaken) return;
  const Status why = pushed == sqlite::WriteQueue::Push::kFull ? queue_full() : closing();
  readers_->post([refused = std::shared_ptr<sqlite::Write>(std::move(write)),
                  why](sqlite::Reader*) { refused->complete(why); });
}

// Writes and waits: on the thread of upkeep only.
template <typename T, typename Fn>
Result<T> SqliteStore::write_now(Fn fn) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  auto result = promise->get_future();
  Done<T> done = [promise](Result<T> written) { promise->set_value(std::move(written)); };
  write<T>(std::move(done), std::move(fn));
  return result.get();
}

}  // namespace palyra::journal
