// What every backend promises of streams, watches and verification.
#include "plugins/common/digest/digest.h"
#include "plugins/journal/contract/backend.h"
#include "plugins/journal/contract/requests.h"
#include "plugins/journal/request_check.h"

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

namespace palyra::journal::contract {
namespace {

TEST_P(JournalContract, AppendedRecordsAreReadBackInOrder) {
  const auto first = backend_->commit(Commit().append("run/1", "a").append("run/1", "b"));
  ASSERT_TRUE(first.ok()) << first.status().to_string();
  EXPECT_EQ(first->appended(0).first_seq(), 1u);
  EXPECT_EQ(first->appended(1).last_seq(), 2u);
  EXPECT_EQ(first->position(), 2u);
  ASSERT_TRUE(backend_->commit(Commit().append("run/1", "c")).ok());

  const auto all = backend_->read(read("run/1"));
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->records_size(), 3);
  EXPECT_EQ(all->head_seq(), 3u);
  EXPECT_EQ(all->records(0).payload(), "a");
  EXPECT_EQ(all->records(2).payload(), "c");
  EXPECT_EQ(all->records(2).position(), 3u);
  EXPECT_EQ(all->records(0).prev_hash(), std::string(32, '\0'));
  EXPECT_EQ(all->records(1).prev_hash(), all->records(0).hash());
  EXPECT_EQ(all->records(0).wall_time_ns(), backend_->clock.wall_now());
  EXPECT_EQ(first->appended(1).last_hash(), all->records(1).hash());
}

TEST_P(JournalContract, ReadsPageForwardAndBackward) {
  for (int i = 1; i <= 5; ++i) {
    ASSERT_TRUE(backend_->commit(Commit().append("s", std::to_string(i))).ok());
  }
  const auto seqs = [&](v1::ReadRequest request) {
    std::string out;
    const auto response = backend_->read(request);
    for (const v1::Record& record : response->records()) out += record.payload();
    return out;
  };
  EXPECT_EQ(seqs(read("s", 2, 2)), "23");
  EXPECT_EQ(seqs(read("s", 0, 2, true)), "54");
  EXPECT_EQ(seqs(read("s", 3, 0, true)), "321");
  EXPECT_EQ(seqs(read("s", 99, 1, true)), "5");
  EXPECT_EQ(seqs(read("s", 6)), "");
  v1::ReadRequest small = read("s");
  small.set_max_bytes(1);
  EXPECT_EQ(seqs(small), "1");
  const auto unknown = backend_->read(read("nothing"));
  ASSERT_TRUE(unknown.ok());
  EXPECT_EQ(unknown->head_seq(), 0u);
}

TEST_P(JournalContract, AWrongExpectedSequenceChangesNothing) {
  ASSERT_TRUE(backend_->commit(Commit().append("s", "1", 0)).ok());
  const auto wrong =
      backend_->commit(Commit().append("other", "x").put("docs", "k", "v").append("s", "2", 0));
  EXPECT_EQ(wrong.status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(backend_->read(read("other"))->head_seq(), 0u);
  EXPECT_FALSE(backend_->get("docs", "k")->has_document());
  const auto right = backend_->commit(Commit().append("s", "2", 1).append("s", "3", 2));
  ASSERT_TRUE(right.ok()) << right.status().to_string();
  EXPECT_EQ(right->position(), 3u) << "a refused commit takes no position";
}

TEST_P(JournalContract, AStreamIsCheckedWithoutBeingWrittenTo) {
  ASSERT_TRUE(backend_->commit(Commit().append("read", "1").append("read", "2")).ok());
  const std::string head = backend_->read(read("read", 2))->records(0).hash();
  const auto alone = backend_->commit(Commit().expect("read", 2));
  ASSERT_TRUE(alone.ok()) << alone.status().to_string();
  EXPECT_EQ(alone->position(), 2u);
  ASSERT_EQ(alone->appended_size(), 1);
  EXPECT_EQ(alone->appended(0).stream(), "read");
  EXPECT_EQ(alone->appended(0).first_seq(), 0u);
  EXPECT_EQ(alone->appended(0).first_position(), 0u);
  EXPECT_EQ(alone->appended(0).last_seq(), 2u);
  EXPECT_EQ(alone->appended(0).last_hash(), head);

  const auto beside = backend_->commit(
      Commit().append("other", "x").expect("read", 2).append("other", "y").put("docs", "k", "v"));
  ASSERT_TRUE(beside.ok()) << beside.status().to_string();
  EXPECT_EQ(beside->appended(1).last_seq(), 2u);
  EXPECT_EQ(beside->appended(2).first_position(), 4u) << "a check takes no position";
  EXPECT_EQ(backend_->read(read("read"))->head_seq(), 2u);
  EXPECT_EQ(backend_->read(read("other"))->head_seq(), 2u);

  // In the order of the appends, as with records.
  EXPECT_TRUE(backend_->commit(Commit().expect("read", 2).append("read", "3", 2)).ok());
  EXPECT_TRUE(backend_->commit(Commit().append("read", "4", 3).expect("read", 4)).ok());
  EXPECT_EQ(backend_->commit(Commit().append("read", "5", 4).expect("read", 4)).status().code(),
            Code::kFailedPrecondition);
  EXPECT_TRUE(backend_->verify("read")->ok());
}

TEST_P(JournalContract, AStreamThatWentOnFailsTheWholeCommit) {
  ASSERT_TRUE(backend_->commit(Commit().append("read", "1").append("read", "2")).ok());
  for (const uint64_t wrong : {0, 1, 3}) {
    const auto refused = backend_->commit(Commit()
                                              .append("other", "x")
                                              .put("docs", "k", "v")
                                              .take("lease", "me", 1000)
                                              .expect("read", wrong));
    EXPECT_EQ(refused.status().code(), Code::kFailedPrecondition) << wrong;
    EXPECT_NE(refused.status().message().find("stream read is at sequence 2"), std::string::npos)
        << refused.status().message();
  }
  EXPECT_EQ(backend_->read(read("other"))->head_seq(), 0u);
  EXPECT_FALSE(backend_->get("docs", "k")->has_document());
  EXPECT_EQ(backend_->info()->position(), 2u);
  EXPECT_TRUE(backend_->commit(Commit().take("lease", "another", 1000)).ok());
}

TEST_P(JournalContract, AStreamIsCheckedNotToBeThere) {
  EXPECT_TRUE(backend_->commit(Commit().expect("s", 0)).ok());
  EXPECT_EQ(backend_->info()->streams(), 0u) << "the check did not make it";
  EXPECT_TRUE(backend_->commit(Commit().expect("s", 0).append("s", "1", 0)).ok());
  EXPECT_EQ(backend_->commit(Commit().expect("s", 0)).status().code(), Code::kFailedPrecondition);
}

TEST_P(JournalContract, ACheckIsNotTheRecordThatAnAuditedCollectionAsksFor) {
  ASSERT_TRUE(backend_->declare(declare("credentials", {}, true)).ok());
  EXPECT_EQ(
      backend_->commit(Commit().expect("audit", 0).put("credentials", "k", "v")).status().code(),
      Code::kFailedPrecondition);
  EXPECT_FALSE(backend_->get("credentials", "k")->has_document());
}

TEST_P(JournalContract, OneOfTwoRacingAppendsWins) {
  std::vector<Code> codes;
  std::mutex mutex;
  std::condition_variable changed;
  for (int i = 0; i < 2; ++i) {
    backend_->store().commit(Commit().append("s", "x", 0), [&](Result<v1::CommitResponse> result) {
      const std::lock_guard lock(mutex);
      codes.push_back(result.status().code());
      changed.notify_one();
    });
  }
  backend_->pump();
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return codes.size() == 2; });
  std::sort(codes.begin(), codes.end());
  EXPECT_EQ(codes[0], Code::kOk);
  EXPECT_EQ(codes[1], Code::kFailedPrecondition);
}

TEST_P(JournalContract, LimitsAreRefusedBeforeAnythingIsWritten) {
  const auto refused = [&](v1::CommitRequest request) {
    const auto result = backend_->commit(std::move(request));
    EXPECT_EQ(result.status().code(), Code::kInvalidArgument) << result.status().to_string();
    EXPECT_FALSE(result.status().message().empty());
  };
  refused(Commit().append("", "x"));
  refused(Commit().append(std::string(201, 's'), "x"));
  refused(Commit().append("s", std::string(kMaxPayload + 1, 'x')));
  refused(Commit().put("c", std::string(257, 'k'), "v"));
  refused(Commit().put("c", "k", std::string(kMaxDocument + 1, 'v')));
  refused(Commit().put("c", "k", "v").remove("c", "k"));
  refused(Commit().take("l", "me", 0));
  refused(Commit().take("l", "me", kMaxLeaseMs + 1));
  v1::CommitRequest typed = Commit().append("s", "x");
  typed.mutable_appends(0)->mutable_records(0)->set_type("Upper");
  refused(typed);
  typed.mutable_appends(0)->mutable_records(0)->set_type("erased");
  refused(typed);
  refused(Commit().expect("s", {}));
  Commit checks;
  for (int i = 0; i <= kMaxRecords; ++i) checks.expect("s", 0);
  refused(checks);
  Commit many;
  for (int i = 0; i <= kMaxRecords; ++i) many.append("s", "x");
  refused(many);
  Commit big;
  for (int i = 0; i < 3; ++i) big.append("s", std::string(3u << 20, 'x'));
  refused(big);
  EXPECT_EQ(backend_->info()->position(), 0u);
}

TEST_P(JournalContract, AnEmptyCommitIsFine) {
  const auto result = backend_->commit(Commit());
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->position(), 0u);
}

// Collects what a watch gives; waits for `count` records.
class Collector {
 public:
  std::shared_ptr<Watch> start(Backend& backend, v1::WatchRequest request, uint32_t credits) {
    auto watch =
        backend.store().watch(std::move(request), {[this](v1::WatchItem item) {
                                                     const std::lock_guard lock(mutex_);
                                                     ++items_;
                                                     for (auto& record : *item.mutable_records()) {
                                                       records_.push_back(std::move(record));
                                                     }
                                                     changed_.notify_all();
                                                   },
                                                   [this](Status status) {
                                                     const std::lock_guard lock(mutex_);
                                                     done_.push_back(status.code());
                                                     changed_.notify_all();
                                                   }});
    watch->grant(credits);
    backend.pump();
    return watch;
  }
  std::vector<v1::Record> wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(60), [&] { return records_.size() >= count; });
    return records_;
  }
  std::vector<Code> wait_for_done() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(60), [&] { return !done_.empty(); });
    return done_;
  }
  size_t items() {
    const std::lock_guard lock(mutex_);
    return items_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<v1::Record> records_;
  std::vector<Code> done_;
  size_t items_ = 0;
};

TEST_P(JournalContract, WritersAndAWatcherMissNothing) {
  constexpr int kWriters = 4;
  constexpr int kEach = 50;
  Collector collector;
  const auto watch = collector.start(*backend_, {}, 100'000);
  // A store without threads is written to from one.
  for (int i = 0; i < kEach; ++i) {
    for (int writer = 0; writer < kWriters; ++writer) {
      backend_->store().commit(
          Commit().append("w/" + std::to_string(writer), std::to_string(i)).append("all", "x"),
          [](Result<v1::CommitResponse> result) { ASSERT_TRUE(result.ok()); });
    }
    backend_->pump();
  }
  const auto records = collector.wait_for(2 * kWriters * kEach);
  ASSERT_EQ(records.size(), size_t{2 * kWriters * kEach});
  std::map<std::string, uint64_t> seqs;
  for (size_t i = 0; i < records.size(); ++i) {
    ASSERT_EQ(records[i].position(), i + 1);
    ASSERT_EQ(records[i].seq(), ++seqs[records[i].stream()]);
  }
  watch->cancel();
  EXPECT_EQ(collector.wait_for_done(), std::vector<Code>{Code::kCancelled});
}

TEST_P(JournalContract, AWatchFlowsByCreditsAndByPrefix) {
  for (int i = 0; i < 600; ++i) {
    ASSERT_TRUE(
        backend_->commit(Commit().append("bot/in", std::to_string(i)).append("other", "x")).ok());
  }
  v1::WatchRequest request;
  request.set_stream_prefix("bot/");
  request.set_from_position(3);
  Collector collector;
  const auto watch = collector.start(*backend_, request, 1);
  EXPECT_EQ(collector.wait_for(256).size(), kMaxWatchRecords);
  EXPECT_EQ(collector.items(), 1u);
  watch->grant(10);
  backend_->pump();
  const auto records = collector.wait_for(599);
  ASSERT_EQ(records.size(), 599u);
  EXPECT_EQ(records.front().payload(), "1");
  EXPECT_EQ(records.back().payload(), "599");
  watch->cancel();
  watch->cancel();
  EXPECT_EQ(collector.wait_for_done().size(), 1u);
}

TEST_P(JournalContract, AnHonestStreamVerifies) {
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(backend_->commit(Commit().append("s", "x")).ok());
  const auto whole = backend_->verify("s");
  ASSERT_TRUE(whole.ok());
  EXPECT_TRUE(whole->ok()) << whole->reason();
  EXPECT_EQ(whole->records(), 20u);
  EXPECT_EQ(whole->head_hash(), backend_->read(read("s", 0, 1, true))->records(0).hash());
  EXPECT_EQ(backend_->verify("s", 11)->records(), 10u);
  EXPECT_TRUE(backend_->verify("unknown")->ok());
}

TEST_P(JournalContract, AnAlteredPayloadIsFound) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(backend_->commit(Commit().append("s", "honest")).ok());
  backend_->alter_payload("s", 3, "hOnest");
  const auto verdict = backend_->verify("s");
  EXPECT_FALSE(verdict->ok());
  EXPECT_EQ(verdict->bad_seq(), 3u);
  EXPECT_NE(verdict->reason().find("record 3 of s"), std::string::npos) << verdict->reason();
}

TEST_P(JournalContract, ALostPayloadIsNotCalledErased) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(backend_->commit(Commit().append("s", "x")).ok());
  backend_->lose_payload("s", 2);
  const auto verdict = backend_->verify("s");
  EXPECT_FALSE(verdict->ok());
  EXPECT_EQ(verdict->bad_seq(), 2u);
}

TEST_P(JournalContract, AnErasedPayloadIsGoneAndTheChainVerifies) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(backend_->commit(Commit().append("s", "secret")).ok());
  const auto erased = backend_->erase({"s", 2, 3, "asked to forget", "operator"});
  ASSERT_TRUE(erased.ok()) << erased.status().to_string();
  EXPECT_EQ(erased->appended(0).last_seq(), 6u);
  const auto records = backend_->read(read("s"));
  EXPECT_TRUE(records->records(1).erased());
  EXPECT_EQ(records->records(1).payload(), "");
  EXPECT_EQ(records->records(1).salt(), "");
  EXPECT_EQ(records->records(3).payload(), "secret");
  EXPECT_EQ(records->records(5).type(), "erased");
  // Erasing all, the record of the first erasure stays and still speaks for its range.
  ASSERT_TRUE(backend_->erase({"s", 1, 6, "again", "operator"}).ok());
  const auto verdict = backend_->verify("s");
  EXPECT_TRUE(verdict->ok()) << verdict->reason();
  EXPECT_EQ(verdict->records(), 7u);
  EXPECT_EQ(verdict->erased(), 5u);
  EXPECT_EQ(backend_->erase({"s", 5, 99, "", ""}).status().code(), Code::kOutOfRange);
}

}  // namespace
}  // namespace palyra::journal::contract
