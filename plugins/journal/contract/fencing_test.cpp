// What every backend promises to two clients of one journal: who has lost a lease writes nothing
// more, and positions come in the order in which they can be seen.
#include "plugins/journal/contract/backend.h"
#include "plugins/journal/contract/requests.h"

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace palyra::journal::contract {
namespace {

constexpr int64_t kTtlMs = 1000;

// A client that holds a lease and works under its fence, as a daemon does with a session.
class Holder {
 public:
  Holder(Backend& backend, std::string name) : backend_(backend), name_(std::move(name)) {}

  Status take() {
    const auto taken = backend_.commit(Commit().take("session/1", name_, kTtlMs));
    if (taken.ok()) token_ = taken->lease_tokens(0);
    return taken.status();
  }
  Status renew() {
    return backend_.commit(Commit().take("session/1", name_, kTtlMs, token_)).status();
  }
  // A commit of everything that a commit can hold.
  Status work(const std::string& what) {
    return backend_
        .commit(Commit()
                    .append("run/1", what)
                    .put("docs", "k", what)
                    .remove("docs", "other")
                    .take("lease/of/" + name_, name_, kTtlMs)
                    .fence("session/1", token_))
        .status();
  }
  uint64_t token() const { return token_; }

 private:
  Backend& backend_;
  const std::string name_;
  uint64_t token_ = 0;
};

void pause(Backend& backend, int64_t ms) { backend.clock.advance(ms * kNanosPerMilli); }

// All that work() has written.
std::string written(Backend& backend) {
  std::string all;
  const auto records = backend.read(read("run/1"));
  for (const v1::Record& record : records->records()) all += record.payload() + " ";
  return all + "| " + backend.get("docs", "k")->document().value();
}

TEST_P(JournalContract, AClientPausedPastItsLeaseCommitsNothingMore) {
  Holder first(*backend_, "first");
  Holder second(*backend_, "second");
  ASSERT_TRUE(backend_->commit(Commit().put("docs", "other", "stays")).ok());
  ASSERT_TRUE(first.take().ok());
  ASSERT_TRUE(backend_->commit(Commit().append("run/1", "begun")).ok());
  pause(*backend_, kTtlMs + 1);
  ASSERT_TRUE(second.take().ok());
  ASSERT_GT(second.token(), first.token());
  const uint64_t before = backend_->info()->position();
  EXPECT_EQ(first.work("late").code(), Code::kFailedPrecondition);
  EXPECT_EQ(backend_->info()->position(), before) << "not even a position was taken";
  EXPECT_EQ(written(*backend_), "begun | ");
  EXPECT_TRUE(backend_->get("docs", "other")->has_document());
  EXPECT_EQ(backend_->commit(Commit().fence("lease/of/first", 1)).status().code(),
            Code::kFailedPrecondition)
      << "no lease was taken either";
  EXPECT_TRUE(second.work("mine").ok());
  EXPECT_EQ(written(*backend_), "begun mine | mine");
}

TEST_P(JournalContract, RenewalsKeepALeaseAndNeverBringALostOneBack) {
  Holder first(*backend_, "first");
  Holder second(*backend_, "second");
  ASSERT_TRUE(first.take().ok());
  for (int i = 0; i < 5; ++i) {
    pause(*backend_, kTtlMs - 1);
    ASSERT_TRUE(first.renew().ok()) << i;
    EXPECT_EQ(second.take().code(), Code::kAborted) << i;
  }
  EXPECT_TRUE(first.work("in time").ok());
  pause(*backend_, kTtlMs + 1);
  // Late, but nobody came: the token is still the current one.
  ASSERT_TRUE(first.renew().ok());
  pause(*backend_, kTtlMs + 1);
  ASSERT_TRUE(second.take().ok());
  EXPECT_EQ(first.renew().code(), Code::kFailedPrecondition);
  EXPECT_EQ(first.work("late").code(), Code::kFailedPrecondition);
  pause(*backend_, 10 * kTtlMs);
  EXPECT_EQ(first.renew().code(), Code::kFailedPrecondition) << "the second's end does not help";
  EXPECT_EQ(first.work("later").code(), Code::kFailedPrecondition);
  EXPECT_EQ(written(*backend_), "in time | in time");
}

TEST_P(JournalContract, WhoTakesItsLeaseAgainHasANewTokenAndTheOldOneIsDead) {
  Holder first(*backend_, "first");
  Holder second(*backend_, "second");
  ASSERT_TRUE(first.take().ok());
  Holder earlier = first;
  pause(*backend_, kTtlMs + 1);
  ASSERT_TRUE(second.take().ok());
  ASSERT_TRUE(backend_->commit(Commit().release("session/1", second.token())).ok());
  ASSERT_TRUE(first.take().ok());
  EXPECT_GT(first.token(), second.token());
  EXPECT_EQ(earlier.work("of the life before").code(), Code::kFailedPrecondition);
  EXPECT_EQ(second.work("given back").code(), Code::kFailedPrecondition);
  EXPECT_TRUE(first.work("now").ok());
}

// ---- positions

// Judges a watch as it flows; keeps nothing.
class Watcher {
 public:
  void start(Store& store) {
    watch_ = store.watch({}, {[this](v1::WatchItem item) { judge(item); }, [](Status) {}});
    watch_->grant(kCredits);
  }
  void end() { watch_->cancel(); }
  bool wait_for(uint64_t count, std::chrono::seconds limit) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return seen_ >= count; });
  }
  std::string fault() {
    const std::lock_guard lock(mutex_);
    return fault_;
  }

 private:
  static constexpr uint32_t kCredits = 4;

  void judge(const v1::WatchItem& item) {
    const std::lock_guard lock(mutex_);
    for (const v1::Record& record : item.records()) {
      ++seen_;
      uint64_t& seq = seqs_[record.stream()];
      ++seq;
      if (fault_.empty() && (record.position() != seen_ || record.seq() != seq)) {
        fault_ = "expected position " + std::to_string(seen_) + ", got " +
                 std::to_string(record.position()) + "; expected " + record.stream() + " " +
                 std::to_string(seq) + ", got " + std::to_string(record.seq());
      }
    }
    changed_.notify_all();
    watch_->grant(1);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<Watch> watch_;
  std::map<std::string, uint64_t> seqs_;
  uint64_t seen_ = 0;
  std::string fault_;
};

// Commits of 1..40 records, up to 32 of them in flight.
class Writer {
 public:
  Writer(Store& store, int number, uint64_t records, uint64_t seed)
      : store_(store), number_(number), left_(records), engine_(seed) {}

  // One commit; false once all are on their way.
  bool step() {
    if (left_ == 0) return false;
    Commit commit;
    for (uint64_t i = std::min<uint64_t>(left_, 1 + engine_() % 40); i > 0; --i, --left_) {
      commit.append(engine_() % 4 == 0 ? "shared" : "writer/" + std::to_string(number_), "x");
    }
    ++in_flight_;
    store_.commit(commit, [this](Result<v1::CommitResponse> result) {
      if (!result.ok()) ++failed_;
      const std::lock_guard lock(mutex_);
      --in_flight_;
      changed_.notify_one();
    });
    return true;
  }
  void wait(int most) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return in_flight_ <= most; });
  }
  void run() {
    while (step()) wait(32);
    wait(0);
  }
  int failed() const { return failed_; }

 private:
  Store& store_;
  const int number_;
  uint64_t left_;
  std::mt19937_64 engine_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<int> in_flight_{0};
  std::atomic<int> failed_{0};
};

// PALYRA_RECORDS sets how many; a million is the figure of the contract.
TEST_P(JournalContract, TwoWritersAndAWatcherSeePositionsInVisibilityOrder) {
  const char* const wanted = std::getenv("PALYRA_RECORDS");
  const uint64_t records = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 50'000;
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Watcher watcher;
  watcher.start(backend_->store());
  Writer one(backend_->store(), 1, records / 2, seed);
  Writer two(backend_->store(), 2, records - records / 2, seed + 1);
  if (backend_->has_threads()) {
    std::thread other([&] { two.run(); });
    one.run();
    other.join();
  } else {
    bool more = true;
    while (more) {
      more = one.step();
      more = two.step() || more;
      backend_->pump();
    }
  }
  EXPECT_EQ(one.failed() + two.failed(), 0);
  EXPECT_TRUE(watcher.wait_for(records, std::chrono::seconds(600)));
  EXPECT_EQ(watcher.fault(), "");
  watcher.end();
  backend_->pump();
  EXPECT_EQ(backend_->info()->position(), records);
}

}  // namespace
}  // namespace palyra::journal::contract
