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
void SqliteStore::write(Done<T> done, Fn fn) {
  std::unique_ptr<sqlite::Write> write =
      std::make_unique<WriteOf<T, Fn>>(std::move(done), std::move(fn));
  if (!queue_.push(write)) write->complete(closing());
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
