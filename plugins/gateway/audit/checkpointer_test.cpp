#include "plugins/gateway/audit/checkpointer.h"

#include "plugins/gateway/audit/testing.h"

#include <gtest/gtest.h>

namespace palyra::gateway::audit::testing {
namespace {

std::string names(const tape::Checkpoint& checkpoint) {
  std::string out;
  for (const auto& head : checkpoint.heads()) {
    out += head.stream() + ":" + std::to_string(head.seq()) + " ";
  }
  return out;
}

TEST(Checkpointer, CoversWhatChangedAfterItsTime) {
  Desk desk;
  desk.append("run/1", 2);
  desk.append("session/1");
  desk.advance_s(299);
  EXPECT_TRUE(desk.checkpoints().empty());
  desk.advance_s(2);
  const auto made = desk.checkpoints();
  ASSERT_EQ(made.size(), 1u);
  EXPECT_EQ(made[0].number(), 1u);
  EXPECT_EQ(made[0].position(), 3u);
  EXPECT_EQ(names(made[0]), "run/1:2 session/1:1 ");
  EXPECT_TRUE(check_signature(link_of(made[0])).ok());
}

TEST(Checkpointer, AnIdleDaemonWritesNothingAndHasNoTimer) {
  Desk desk;
  desk.append("run/1");
  desk.advance_s(301);
  ASSERT_EQ(desk.checkpoints().size(), 1u);
  const size_t commits = desk.journal.commits();
  EXPECT_TRUE(desk.executor.idle()) << "its own record is no reason for another one";
  desk.advance_s(100'000);
  EXPECT_EQ(desk.journal.commits(), commits);
  desk.cover();
  EXPECT_EQ(desk.checkpoints().size(), 1u) << "nothing changed";
}

TEST(Checkpointer, EachNamesTheOneBefore) {
  Desk desk;
  desk.append("a");
  const auto first = desk.cover();
  desk.append("b");
  const auto second = desk.cover();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(second->number, 2u);
  EXPECT_EQ(second->previous, hash_of(*first));
  EXPECT_EQ(names(desk.checkpoints()[1]), "audit:1 b:1 ") << "the first one is covered by it";
}

TEST(Checkpointer, ManyChangedStreamsDoNotWaitForTheTimer) {
  Desk desk({.every_ns = 300 * kNanosPerSecond, .streams = 8});
  desk.advance_s(10);
  for (int i = 0; i < 8; ++i) desk.append("run/" + std::to_string(i));
  desk.executor.run_until_idle();
  EXPECT_EQ(desk.checkpoints().size(), 1u);
  for (int i = 0; i < 8; ++i) desk.append("more/" + std::to_string(i));
  desk.executor.run_until_idle();
  EXPECT_EQ(desk.checkpoints().size(), 1u) << "not twice in a second";
  desk.advance_s(1);
  EXPECT_EQ(desk.checkpoints().size(), 2u);
}

TEST(Checkpointer, MoreThanOneRecordHoldsBecomesSeveralInARow) {
  Desk desk({.streams = 10'000});
  for (int i = 0; i < 700; ++i) desk.append("run/" + std::to_string(1000 + i));
  const auto last = desk.cover();
  const auto made = desk.checkpoints();
  ASSERT_EQ(made.size(), 2u);
  EXPECT_EQ(made[0].heads_size() + made[1].heads_size(), 700);
  EXPECT_EQ(made[1].previous(), hash_of(link_of(made[0])));
  EXPECT_EQ(last->position, 700u);
  EXPECT_TRUE(desk.executor.idle());
}

TEST(Checkpointer, WhateverACrashInterruptsTheNextOneCovers) {
  for (int cut = 0; cut < 12; ++cut) {
    Desk desk;
    desk.append("a");
    desk.cover();
    desk.append("b", 3);
    // The power goes somewhere in the middle.
    desk.scope.spawn([](Checkpointer& checkpointer) -> Task<void> {
      (void)co_await checkpointer.cover();
    }(*desk.checkpointer));
    for (int step = 0; step < cut; ++step) desk.executor.run_one();
    desk.crash();
    desk.start();
    ASSERT_TRUE(desk.started.ok());
    desk.append("c");
    desk.cover();
    const auto made = desk.checkpoints();
    std::string all;
    for (size_t i = 0; i < made.size(); ++i) {
      EXPECT_EQ(made[i].number(), i + 1) << "cut " << cut;
      EXPECT_EQ(made[i].previous(), i > 0 ? hash_of(link_of(made[i - 1])) : std::string(32, '\0'))
          << "cut " << cut;
      all += names(made[i]);
    }
    EXPECT_NE(all.find("b:3"), std::string::npos) << "cut " << cut;
    EXPECT_NE(all.find("c:1"), std::string::npos) << "cut " << cut;
    EXPECT_TRUE(desk.verified()->result().ok()) << "cut " << cut;
  }
}

TEST(Checkpointer, WhatWasLeftUncoveredIsCoveredAfterTheNextStart) {
  Desk desk;
  desk.append("a");
  desk.crash();
  desk.start();
  desk.advance_s(301);
  EXPECT_EQ(desk.checkpoints().size(), 1u);
}

TEST(Checkpointer, FindsItsLastOneInTheStreamIfTheDocumentIsGone) {
  Desk desk;
  desk.append("a");
  desk.cover();
  pb::CommitRequest request;
  pb::DeleteDocument& remove = *request.add_deletes();
  remove.set_collection("audit_state");
  remove.set_key("checkpoint");
  ASSERT_TRUE(desk.run(desk.journal.commit(std::move(request))).ok());
  desk.stop();
  desk.start();
  desk.append("b");
  EXPECT_EQ(desk.cover()->number, 2u);
  EXPECT_TRUE(desk.verified()->result().ok());
}

// Whoever writes in the store's file writes any document.
void put_copy(Desk& desk, const std::string& line) {
  pb::CommitRequest request;
  pb::PutDocument& put = *request.add_puts();
  put.set_collection(Checkpointer::kCollection);
  put.set_key(Checkpointer::kKey);
  put.set_value(line);
  ASSERT_TRUE(desk.run(desk.journal.commit(std::move(request))).ok());
}

TEST(Checkpointer, ACopyThatWasAlteredStopsNoCheckpointAndIsTold) {
  struct Case {
    const char* name;
    std::function<std::string(Link newest, Link older)> line;
    const char* told;
  };
  const Case cases[] = {
      {"a position far ahead",
       [](Link newest, Link) {
         newest.position = 1'000'000'000'000'000;
         return to_line(newest);
       },
       "the signature of checkpoint 2 is wrong"},
      {"one far ahead with a key of somebody's own",
       [](Link newest, Link) {
         newest.position = 1'000'000'000'000'000;
         newest.public_key = test_key('x').public_key();
         newest.signature = test_key('x').sign(signed_bytes(newest));
         return to_line(newest);
       },
       "and the store has 4"},
      {"an older one", [](Link, Link older) { return to_line(older); },
       "it is checkpoint 1, and not"},
      {"nonsense", [](Link, Link) { return std::string("{}"); }, "no checkpoint any more"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    Desk desk;
    desk.append("a");
    const auto older = desk.cover();
    desk.append("b");
    const auto newest = desk.cover();
    EXPECT_EQ(desk.checkpointer->tampered(), "");
    put_copy(desk, one.line(*newest, *older));
    EXPECT_FALSE(desk.verified()->result().ok()) << "as long as it is there";
    desk.stop();
    desk.start();
    ASSERT_TRUE(desk.started.ok());
    EXPECT_NE(desk.checkpointer->tampered().find(one.told), std::string::npos)
        << desk.checkpointer->tampered();
    desk.append("c");
    const auto next = desk.cover();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->number, 3u);
    EXPECT_EQ(next->previous, hash_of(*newest));
    EXPECT_NE(desk.checkpointer->tampered(), "") << "until the next start";
    EXPECT_TRUE(desk.verified()->result().ok());
  }
}

TEST(Checkpointer, ACheckpointThatWasAlteredInTheStreamIsNotGoneOnFrom) {
  Desk desk;
  desk.append("a");
  const auto first = desk.cover();
  desk.append("b");
  desk.cover();
  put_copy(desk, to_line(*first));
  tape::AuditEvent event;
  auto& record = *desk.store.stored("audit", 2);
  ASSERT_TRUE(event.ParseFromString(record.payload()));
  event.mutable_checkpoint()->set_position(1'000'000);
  record.set_payload(event.SerializeAsString());
  desk.stop();
  desk.start();
  EXPECT_EQ(desk.checkpointer->tampered(),
            "the checkpoint in record 2 of the stream audit was altered: the signature of "
            "checkpoint 2 is wrong");
  EXPECT_EQ(desk.checkpointer->last()->number, 1u);
  desk.append("c");
  EXPECT_EQ(desk.cover()->position, 5u) << "what is new is covered all the same";
}

TEST(Checkpointer, WhatTheStreamLostLeavesAGapForEver) {
  Desk desk;
  desk.append("a");
  desk.cover();
  desk.append("b");
  desk.cover();
  desk.append("c");
  const auto third = desk.cover();
  Desk cut;
  cut.append("a");
  cut.cover();
  cut.append("b", 4);
  put_copy(cut, to_line(*third));
  cut.stop();
  cut.start();
  EXPECT_EQ(cut.checkpointer->tampered(), "checkpoint 3 is gone from the stream audit");
  cut.append("d");
  EXPECT_EQ(cut.cover()->number, 4u);
  EXPECT_FALSE(cut.verified()->result().ok());
}

TEST(Checkpointer, AFailedOneIsTriedAgain) {
  Desk desk;
  Status told;
  desk.checkpointer->on_failure([&](const Status& status) { told = status; });
  desk.append("a");
  desk.store.refuse_writes(Status(Code::kResourceExhausted, "disk full"));
  desk.advance_s(301);
  EXPECT_EQ(told.code(), Code::kResourceExhausted);
  desk.store.refuse_writes(Status());
  desk.advance_s(301);
  EXPECT_EQ(desk.checkpoints().size(), 1u);
}

TEST(Checkpointer, ANewKeyGoesOnWithTheChain) {
  Desk desk;
  desk.append("a");
  const auto old = desk.cover();
  desk.stop();
  desk.start(test_key('n'));
  desk.append("b");
  const auto fresh = desk.cover();
  EXPECT_EQ(fresh->previous, hash_of(*old));
  EXPECT_NE(fresh->public_key, old->public_key);
  EXPECT_TRUE(check_signature(*fresh).ok());
}

}  // namespace
}  // namespace palyra::gateway::audit::testing
