#include "plugins/gateway/audit/record_pass.h"

#include "plugins/gateway/audit/testing.h"

#include <gmock/gmock.h>

#include <map>
#include <random>

namespace palyra::gateway::audit::testing {
namespace {

// Answers when it is told to, in any order.
class SlowJournal : public JournalAudit {
 public:
  Task<Result<pb::HeadsResponse>> heads(pb::HeadsRequest) override {
    co_return pb::HeadsResponse();
  }
  Task<Result<pb::ListStreamsResponse>> list_streams(pb::ListStreamsRequest) override {
    co_return pb::ListStreamsResponse();
  }
  Task<Result<pb::VerifyStoreResponse>> verify_store(pb::VerifyStoreRequest request) override {
    const Slot<Status> slot;
    asked.emplace_back(request, slot);
    const Status status = co_await slot;
    if (!status.ok()) co_return status;
    pb::VerifyStoreResponse page;
    page.set_up_to(request.up_to());
    const uint64_t last = std::min(request.from_position() + page_positions - 1, request.up_to());
    page.set_records(last - request.from_position() + 1);
    if (last < request.up_to()) page.set_next_position(last + 1);
    co_return page;
  }
  // Of the calls that wait, this one; DATA_LOSS if it comes to a position that is damaged.
  void answer(size_t which, Status status = {}) {
    const pb::VerifyStoreRequest& of = asked[which].first;
    const uint64_t last = std::min(of.from_position() + page_positions - 1, of.up_to());
    if (of.from_position() <= damaged_to && damaged_from <= last) {
      status = Status(Code::kDataLoss, "malformed");
    }
    const Slot<Status> slot = asked[which].second;
    asked.erase(asked.begin() + static_cast<std::ptrdiff_t>(which));
    slot.set(std::move(status));
  }

  uint64_t page_positions = 7;
  uint64_t damaged_from = UINT64_MAX;
  uint64_t damaged_to = 0;
  std::vector<std::pair<pb::VerifyStoreRequest, Slot<Status>>> asked;
};

struct World {
  palyra::testing::ManualClock clock;
  palyra::testing::DeterministicExecutor executor{clock};
};

// Everything that a pass hands out, as the last positions of its pages.
struct Reader {
  std::vector<uint64_t> pages;
  std::vector<std::pair<uint64_t, uint64_t>> unread;
  uint64_t records = 0;
  std::optional<Status> ended;

  Task<void> read(RecordPass& pass) {
    for (;;) {
      auto page = co_await pass.next();
      if (!page.ok() || !*page) {
        ended = page.status();
        co_return;
      }
      if (!(*page)->unread.ok()) {
        unread.emplace_back((*page)->first_position, (*page)->last_position);
      }
      pages.push_back((*page)->last_position);
      records += (*page)->sums.records();
    }
  }
};

TEST(RecordPass, PagesComeInTheOrderOfPositionsWhateverTheOrderOfAnswers) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 50; ++round) {
    World world;
    SlowJournal journal;
    RecordPass pass(world.executor, journal, 5, 104, {.at_once = 3, .slice_positions = 20});
    Reader reader;
    TaskScope scope;
    scope.spawn(reader.read(pass));
    while (!reader.ended) {
      ASSERT_FALSE(journal.asked.empty());
      ASSERT_LE(journal.asked.size(), 3u);
      journal.answer(random() % journal.asked.size());
      world.executor.run_until_idle();
    }
    EXPECT_TRUE(reader.ended->ok());
    EXPECT_EQ(reader.records, 100u);
    EXPECT_TRUE(std::is_sorted(reader.pages.begin(), reader.pages.end()));
    EXPECT_EQ(reader.pages.back(), 104u);
  }
}

TEST(RecordPass, SlicesAreReadAtOnce) {
  World world;
  SlowJournal journal;
  RecordPass pass(world.executor, journal, 1, 200'000);
  Reader reader;
  TaskScope scope;
  scope.spawn(reader.read(pass));
  ASSERT_EQ(journal.asked.size(), 3u);
  EXPECT_EQ(journal.asked[0].first.from_position(), 1u);
  EXPECT_EQ(journal.asked[1].first.from_position(), 8'193u);
}

TEST(RecordPass, AnErrorOfALaterSliceIsToldBehindThePagesBeforeIt) {
  World world;
  SlowJournal journal;
  journal.page_positions = 10;
  RecordPass pass(world.executor, journal, 1, 20, {.at_once = 2, .slice_positions = 10});
  Reader reader;
  TaskScope scope;
  scope.spawn(reader.read(pass));
  journal.answer(1, Status(Code::kUnavailable, "the disk"));
  world.executor.run_until_idle();
  EXPECT_FALSE(reader.ended);
  journal.answer(0);
  world.executor.run_until_idle();
  ASSERT_TRUE(reader.ended);
  EXPECT_EQ(reader.ended->message(), "the disk");
  EXPECT_THAT(reader.pages, ::testing::ElementsAre(10u));
}

TEST(RecordPass, WhatCannotBeReadIsToldAndTheRestIsRead) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 50; ++round) {
    World world;
    SlowJournal journal;
    journal.page_positions = 1 + random() % 40;
    journal.damaged_from = 1 + random() % 300;
    journal.damaged_to = journal.damaged_from + random() % 60;
    RecordPass pass(world.executor, journal, 1, 300,
                    {.at_once = 3, .slice_positions = 128, .grain = 4});
    Reader reader;
    TaskScope scope;
    scope.spawn(reader.read(pass));
    for (int calls = 0; !reader.ended; ++calls) {
      ASSERT_LT(calls, 2000);
      ASSERT_FALSE(journal.asked.empty());
      journal.answer(random() % journal.asked.size());
      world.executor.run_until_idle();
    }
    EXPECT_TRUE(reader.ended->ok());
    EXPECT_EQ(reader.pages.back(), 300u);
    uint64_t unread = 0;
    for (const auto& [first, last] : reader.unread) {
      EXPECT_LE(last - first, 3u);
      EXPECT_LE(first, journal.damaged_to);
      EXPECT_GE(last, journal.damaged_from);
      unread += last - first + 1;
    }
    const uint64_t damaged = std::min<uint64_t>(journal.damaged_to, 300) - journal.damaged_from + 1;
    EXPECT_GE(unread, damaged);
    EXPECT_EQ(reader.records, 300 - unread);
  }
}

TEST(RecordPass, AnEmptyStoreHasNoPage) {
  World world;
  SlowJournal journal;
  RecordPass pass(world.executor, journal, 1, 0);
  Reader reader;
  TaskScope scope;
  scope.spawn(reader.read(pass));
  ASSERT_TRUE(reader.ended);
  EXPECT_TRUE(reader.ended->ok());
}

TEST(RecordPass, NobodyIsAnsweredAfterItsEnd) {
  World world;
  SlowJournal journal;
  {
    RecordPass pass(world.executor, journal, 1, 100);
    Reader reader;
    TaskScope scope;
    scope.spawn(reader.read(pass));
  }
  journal.answer(0);
}

}  // namespace
}  // namespace palyra::gateway::audit::testing
