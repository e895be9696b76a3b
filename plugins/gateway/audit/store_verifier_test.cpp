#include "plugins/gateway/audit/store_verifier.h"

#include "plugins/common/digest/digest.h"
#include "plugins/gateway/audit/testing.h"

#include <gmock/gmock.h>

namespace palyra::gateway::audit::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct StoreVerifierTest : ::testing::Test {
  Desk desk;
  StoreVerifierTest() {
    desk.append("run/1", 3);
    desk.cover();
    desk.append("run/1", 2);
    desk.append("run/2", 4);
    desk.cover();
  }
  // The first place that is bad, as words.
  std::string first_bad(api::VerifyStoreRequest request = {}) {
    const auto event = desk.verified(std::move(request));
    if (!event.ok()) return event.status().to_string();
    EXPECT_EQ(event->result().ok(), event->first_bad_size() == 0);
    if (event->first_bad_size() == 0) return "";
    const auto& place = event->first_bad(0);
    return place.stream() + " " + std::to_string(place.seq()) + ": " + place.reason();
  }
};

TEST_F(StoreVerifierTest, AnHonestStoreVerifies) {
  desk.append("run/3");
  const auto event = desk.verified();
  ASSERT_TRUE(event.ok()) << event.status().to_string();
  const auto& result = event->result();
  EXPECT_TRUE(result.ok()) << event->DebugString();
  EXPECT_EQ(result.records(), 12u);
  EXPECT_EQ(result.checkpoints(), 2u);
  EXPECT_EQ(result.checkpoint_number(), 2u);
  EXPECT_EQ(result.uncovered(), 1u) << "the records of checkpoints do not count";
  EXPECT_THAT(result.notes(0), HasSubstr("--witness"));
}

TEST_F(StoreVerifierTest, AChangedPayloadIsLocated) {
  desk.store.stored("run/2", 3)->set_payload("other");
  EXPECT_EQ(first_bad(), "run/2 3: payload does not match its digest");
}

TEST_F(StoreVerifierTest, AStreamRewrittenFromARecordOnIsFoundByTheCheckpoint) {
  // Somebody with the disk recomputes every hash behind the change: the chain is right again.
  journal::RecordHasher hasher;
  std::string prev;
  for (uint64_t seq = 2; seq <= 5; ++seq) {
    auto& record = *desk.store.stored("run/1", seq);
    if (seq == 2) record.set_payload("forged");
    if (!prev.empty()) record.set_prev_hash(prev);
    record.set_payload_digest(
        std::string(digest::view(hasher.payload_digest(record.salt(), record.payload()))));
    prev = digest::view(hasher.record_hash({.stream = "run/1",
                                            .seq = seq,
                                            .prev_hash = record.prev_hash(),
                                            .type = record.type(),
                                            .wall_time_ns = record.wall_time_ns(),
                                            .payload_digest = record.payload_digest()}));
    record.set_hash(prev);
  }
  EXPECT_EQ(first_bad(),
            "run/1 3: checkpoint 1 names this record, and another one is in its place");
}

TEST_F(StoreVerifierTest, ACheckpointThatWasAlteredIsLocated) {
  tape::AuditEvent event;
  auto& record = *desk.store.stored("audit", 1);
  ASSERT_TRUE(event.ParseFromString(record.payload()));
  event.mutable_checkpoint()->set_position(1);
  record.set_payload(event.SerializeAsString());
  const auto all = desk.verified();
  ASSERT_GE(all->first_bad_size(), 2);
  EXPECT_EQ(all->first_bad(0).reason(), "payload does not match its digest");
  EXPECT_EQ(all->first_bad(1).reason(), "the signature of checkpoint 1 is wrong");
}

TEST_F(StoreVerifierTest, ErasedPayloadsVerifyAsErased) {
  desk.store.erase({"run/1", 2, 3, "asked to", "user:ann"}, [](auto) {});
  desk.executor.run_until_idle();
  const auto event = desk.verified();
  EXPECT_TRUE(event->result().ok()) << event->DebugString();
  EXPECT_EQ(event->result().erased(), 2u);
}

TEST_F(StoreVerifierTest, ErasuresThatNoCheckpointCoversAreCounted) {
  const auto notes = [this] { return desk.verified()->result().ShortDebugString(); };
  const auto erase = [this](const char* stream, uint64_t seq) {
    desk.store.erase({stream, seq, seq, "asked to", "user:ann"}, [](auto) {});
    desk.executor.run_until_idle();
  };
  EXPECT_THAT(notes(), ::testing::Not(HasSubstr("newer than the last checkpoint")));
  erase("run/1", 1);
  erase("run/1", 2);
  desk.append("run/1", 3);
  desk.append("run/5", 3);
  erase("run/2", 4);
  EXPECT_THAT(notes(), HasSubstr("3 erasures are newer than the last checkpoint"));
  desk.cover();
  EXPECT_THAT(notes(), ::testing::Not(HasSubstr("newer than the last checkpoint")));
}

TEST_F(StoreVerifierTest, AnotherKeyIsRefusedUnlessItIsGiven) {
  desk.stop();
  desk.start(test_key('n'));
  EXPECT_THAT(first_bad(), HasSubstr("neither this daemon's nor one of --key"));
  api::VerifyStoreRequest request;
  request.add_keys(digest::to_hex(test_key().public_key()));
  EXPECT_EQ(first_bad(request), "");
  request.add_keys("nonsense");
  EXPECT_THAT(first_bad(request), HasSubstr("64 hex digits"));
}

TEST_F(StoreVerifierTest, AnOlderCopyOfTheStoreIsFoundWithAWitnessAndOnlyThen) {
  // This store is the copy; the witness was taken later, from the store that went on.
  Desk later;
  later.append("run/1", 3);
  later.cover();
  later.append("run/1", 2);
  later.append("run/2", 4);
  later.cover();
  later.append("run/3");
  const auto witness = later.cover();
  ASSERT_EQ(witness->number, 3u);
  EXPECT_EQ(first_bad(), "");
  api::VerifyStoreRequest request;
  request.set_witness(to_line(*witness));
  EXPECT_THAT(first_bad(request), HasSubstr("set back to an older state"));
}

TEST_F(StoreVerifierTest, AWitnessOfThisStoreIsRight) {
  const auto witness = desk.cover();
  desk.append("run/9");
  desk.cover();
  api::VerifyStoreRequest request;
  request.set_witness(to_line(*witness));
  EXPECT_EQ(first_bad(request), "");
  EXPECT_EQ(desk.verified(request)->result().notes_size(), 0);
}

TEST_F(StoreVerifierTest, AWitnessOfAnotherHistoryIsTold) {
  Desk other;
  other.append("run/other", 2);
  const auto witness = other.cover();
  api::VerifyStoreRequest request;
  request.set_witness(to_line(*witness));
  EXPECT_THAT(first_bad(request), HasSubstr("another history"));
  request.set_witness("{}");
  EXPECT_THAT(first_bad(request), HasSubstr("this is no witness"));
  Link forged = *desk.cover();
  forged.number = 7;
  request.set_witness(to_line(forged));
  EXPECT_THAT(first_bad(request), HasSubstr("the witness itself was altered"));
}

TEST_F(StoreVerifierTest, GoesOnWhereItWasStopped) {
  for (int i = 0; i < 4; ++i) desk.append("big", 1, std::string(4 << 20, 'x').substr(20));
  desk.store.stored("run/1", 1)->set_payload("other");
  Collect<api::VerifyStoreEvent> sink;
  sink.room = 1;
  EXPECT_EQ(desk.run(desk.audit->verify_store(Desk::admin(), {}, sink.send())).code(),
            Code::kCancelled);
  ASSERT_EQ(sink.messages.size(), 1u);
  EXPECT_EQ(sink.messages[0].first_bad_size(), 1);
  EXPECT_LT(sink.messages[0].position(), sink.messages[0].up_to());
  api::VerifyStoreRequest request;
  request.set_cursor(sink.messages[0].cursor());
  const auto rest = desk.verified(request);
  ASSERT_TRUE(rest.ok()) << rest.status().to_string();
  EXPECT_FALSE(rest->result().ok()) << "what was found before is still bad";
  EXPECT_EQ(rest->result().bad(), 1u);
  EXPECT_EQ(rest->result().records(), 15u);
  EXPECT_EQ(rest->first_bad_size(), 0) << "and not told twice";
  request.set_cursor("16.15.0.0.0.0");
  EXPECT_TRUE(desk.verified(request).ok()) << "where it ends there is nothing left to do";
  for (const char* bad : {"x", "1", "1.2.3.4.5.x", "1.2.3.4.5.6.7", "-1.2.3.4.5.6", "0.0.0.0.0.0",
                          "99999999.1.0.0.0.0", "18446744073709551615.1.0.0.0.0"}) {
    request.set_cursor(bad);
    EXPECT_EQ(desk.verified(request).status().code(), Code::kInvalidArgument) << bad;
  }
}

Task<bool> wait_for(Slot<bool> slot) { co_return co_await slot; }

TEST_F(StoreVerifierTest, AnArchivedFileThatIsMissingOrAlteredIsNamedAndTheRestIsChecked) {
  desk.append("run/1", 5);
  desk.append("run/2", 2);
  desk.cover();
  pb::ArchiveRequest archive;
  archive.set_stream("run/1");
  desk.store.archive(archive, [](const auto&) {});
  desk.executor.run_until_idle();
  auto whole = desk.verified();
  ASSERT_TRUE(whole.ok()) << whole.status().to_string();
  EXPECT_TRUE(whole->result().ok());
  auto& files = desk.store.files().files;
  ASSERT_EQ(files.size(), 1u);
  const std::string name = files.begin()->first;
  for (const bool altered : {true, false}) {
    if (altered) {
      files[name] = "other";
    } else {
      files.clear();
    }
    const auto verified = desk.verified();
    ASSERT_TRUE(verified.ok()) << verified.status().to_string();
    EXPECT_FALSE(verified->result().ok());
    ASSERT_EQ(verified->first_bad_size(), 1) << verified->ShortDebugString();
    EXPECT_EQ(verified->first_bad(0).stream(), "run/1");
    EXPECT_NE(verified->first_bad(0).reason().find(name), std::string::npos);
    EXPECT_GT(verified->result().checkpoints(), 0u);
  }
}

// Whoever can write in the state directory changes what is in an archived file, names the new file
// rightly and lets the store say the same.
class ForgedArchive : public StoreVerifierTest {
 protected:
  ForgedArchive() {
    pb::ArchiveRequest archive;
    archive.set_stream("run/1");
    desk.store.archive(archive, [](const auto&) {});
    desk.executor.run_until_idle();
    desk.cover();
  }
  journal::SegmentRow& row() { return desk.store.archived("run/1").at(0); }
  journal::Segment records() {
    const std::string name = journal::segment_name(row().digest);
    return *journal::decode_segment("run/1", row(), desk.store.files().files.at(name));
  }
  void write(const journal::Segment& changed) {
    auto& files = desk.store.files().files;
    files.erase(journal::segment_name(row().digest));
    const std::string file = *journal::encode_segment(changed);
    row() = journal::describe_segment(changed, file);
    files[journal::segment_name(row().digest)] = file;
  }
  // Each record hashed anew from there, as its writer would have.
  static void chain(journal::Segment& changed) {
    journal::RecordHasher hasher;
    std::string before = changed.front().prev_hash();
    for (auto& record : changed) {
      record.set_payload_digest(
          std::string(digest::view(hasher.payload_digest(record.salt(), record.payload()))));
      record.set_prev_hash(before);
      before = digest::view(hasher.record_hash({.stream = "run/1",
                                                .seq = record.seq(),
                                                .prev_hash = record.prev_hash(),
                                                .type = record.type(),
                                                .wall_time_ns = record.wall_time_ns(),
                                                .payload_digest = record.payload_digest()}));
      record.set_hash(before);
    }
  }
};

TEST_F(ForgedArchive, APayloadThatWasChangedIsFound) {
  journal::Segment changed = records();
  changed[2].set_payload("what nobody said");
  write(changed);
  EXPECT_EQ(first_bad(), "run/1 3: in the archive: payload does not match its digest");
}

TEST_F(ForgedArchive, AHistoryThatFitsTogetherIsFoundByTheRecordsBehindIt) {
  journal::Segment changed = records();
  changed[2].set_payload("what nobody said");
  chain(changed);
  write(changed);
  EXPECT_THAT(first_bad(), HasSubstr("run/1 6: in the archive: does not follow"));
}

TEST_F(ForgedArchive, APayloadThatWasTakenAwayWithoutAnErasureIsFound) {
  journal::Segment changed = records();
  changed[2].clear_payload();
  changed[2].clear_salt();
  changed[2].set_erased(true);
  write(changed);
  EXPECT_THAT(first_bad(), AllOf(HasSubstr("run/1 3: in the archive: "),
                                 HasSubstr("no erased record says why")));
}

TEST_F(ForgedArchive, ASegmentThatTheStreamDidNotCloseSoIsFound) {
  ++row().file_bytes;
  EXPECT_THAT(first_bad(), HasSubstr("not the one that the stream closed"));
}

TEST_F(ForgedArchive, ASegmentThatTheStoreDoesNotKnowAnyMoreIsFound) {
  desk.store.files().files.clear();
  desk.store.archived("run/1").clear();
  EXPECT_THAT(first_bad(), HasSubstr("run/1 1: in the archive: missing"));
}

// The store as it is after somebody put a record where it was not: the last one of its stream
// there. `free`: some positions were, because what was there is archived.
class Moved : public JournalAudit {
 public:
  Moved(JournalAudit& honest, pb::Head head, bool free)
      : honest_(honest), head_(std::move(head)), free_(free) {}
  Task<Result<pb::HeadsResponse>> heads(pb::HeadsRequest request) override {
    const bool named = request.at_size() > 0;
    const bool here = !named && request.since() < head_.position() &&
                      (request.up_to() == 0 || head_.position() <= request.up_to());
    auto page = co_await honest_.heads(std::move(request));
    if (!page.ok()) co_return page;
    auto& heads = *page->mutable_heads();
    for (pb::Head& head : heads) {
      if (named && head.stream() == head_.stream() && head.seq() == head_.seq()) {
        head.set_position(head_.position());
      }
    }
    if (!here) co_return page;
    for (auto at = heads.begin(); at != heads.end();) {
      at = at->stream() == head_.stream() ? heads.erase(at) : at + 1;
    }
    *heads.Add() = head_;
    co_return page;
  }
  Task<Result<pb::ListStreamsResponse>> list_streams(pb::ListStreamsRequest request) override {
    return honest_.list_streams(std::move(request));
  }
  Task<Result<pb::VerifyStoreResponse>> verify_store(pb::VerifyStoreRequest request) override {
    auto page = co_await honest_.verify_store(std::move(request));
    if (page.ok() && free_) {
      page->set_absent(page->absent() + 1);
      page->set_archived(page->archived() + 1);
    }
    co_return page;
  }

 private:
  JournalAudit& honest_;
  const pb::Head head_;
  const bool free_;
};

TEST_F(StoreVerifierTest, WhatWasPutAmongTheCoveredOrMovedThereIsFound) {
  struct Case {
    const char* stream;
    uint64_t seq;
    uint64_t position;
    const char* told;
  };
  const Case cases[] = {
      {"run/1", 3, 3, ""},
      {"run/9", 1, 2,
       "run/9 1: is among what checkpoint 1 covers, at position 2, and it does not name this "
       "stream: the record was put there later"},
      {"run/2", 1, 2, "run/2 1: is among what checkpoint 1 covers"},
      {"run/1", 4, 5, "run/1 4: is the last one of its stream that checkpoint 2 covers"},
      {"run/2", 5, 9, "run/2 5: is the last one of its stream that checkpoint 2 covers"},
  };
  for (const Case& one : cases) {
    pb::Head head;
    head.set_stream(one.stream);
    head.set_seq(one.seq);
    head.set_position(one.position);
    head.set_hash(desk.store.stored("run/1", 3)->hash());
    Moved moved(desk.journal, head, true);
    StoreVerifier verifier(desk.executor, desk.journal, moved, {test_key().public_key()}, {});
    Collect<api::VerifyStoreEvent> sink;
    ASSERT_TRUE(desk.run(verifier.run(sink.send())).ok());
    const api::VerifyStoreEvent& end = sink.messages.back();
    if (*one.told == '\0') {
      EXPECT_TRUE(end.result().ok()) << end.ShortDebugString();
      continue;
    }
    ASSERT_EQ(end.first_bad_size(), 1) << end.ShortDebugString();
    const api::BadPlace& place = end.first_bad(0);
    EXPECT_THAT(place.stream() + " " + std::to_string(place.seq()) + ": " + place.reason(),
                ::testing::StartsWith(one.told));
  }
}

TEST_F(StoreVerifierTest, WhatWasMovedWhereNoPositionWasFreeIsFound) {
  for (const uint64_t position : {3, 9}) {
    pb::Head head;
    head.set_stream("run/1");
    head.set_seq(3);
    head.set_position(position);
    Moved moved(desk.journal, head, false);
    StoreVerifier verifier(desk.executor, desk.journal, moved, {test_key().public_key()}, {});
    Collect<api::VerifyStoreEvent> sink;
    ASSERT_TRUE(desk.run(verifier.run(sink.send())).ok());
    const api::VerifyStoreEvent& end = sink.messages.back();
    EXPECT_EQ(end.result().ok(), position == 3) << end.ShortDebugString();
    if (position == 3) continue;
    ASSERT_EQ(end.first_bad_size(), 1) << end.ShortDebugString();
    EXPECT_EQ(end.first_bad(0).stream(), "run/1");
    EXPECT_THAT(end.first_bad(0).reason(),
                ::testing::StartsWith("is at position 9, and checkpoint 1, which names it"));
  }
}

// Pages of the file are overwritten: what is on them cannot be read.
class Damaged : public JournalAudit {
 public:
  Damaged(JournalAudit& honest, uint64_t from, uint64_t to)
      : honest_(honest), from_(from), to_(to) {}
  Task<Result<pb::HeadsResponse>> heads(pb::HeadsRequest request) override {
    if (request.at_size() > 0) co_return Status(Code::kDataLoss, "malformed");
    auto page = co_await honest_.heads(std::move(request));
    co_return page;
  }
  Task<Result<pb::ListStreamsResponse>> list_streams(pb::ListStreamsRequest request) override {
    return honest_.list_streams(std::move(request));
  }
  Task<Result<pb::VerifyStoreResponse>> verify_store(pb::VerifyStoreRequest request) override {
    if (request.from_position() <= to_ && request.up_to() >= from_) {
      co_return Status(Code::kDataLoss, "malformed");
    }
    auto page = co_await honest_.verify_store(std::move(request));
    co_return page;
  }

 private:
  JournalAudit& honest_;
  const uint64_t from_;
  const uint64_t to_;
};

TEST_F(StoreVerifierTest, WhatCannotBeReadIsNamedAndTheRestIsChecked) {
  desk.append("run/3", 500);
  desk.cover();
  desk.store.stored("run/3", 450)->set_payload("other");
  desk.store.stored("audit", 2)->clear_payload();
  Damaged damaged(desk.journal, 100, 140);
  StoreVerifier verifier(desk.executor, desk.journal, damaged, {test_key().public_key()}, {});
  Collect<api::VerifyStoreEvent> sink;
  ASSERT_TRUE(desk.run(verifier.run(sink.send())).ok());
  std::string told;
  for (const auto& event : sink.messages) {
    for (const auto& place : event.first_bad())
      told += place.stream() + " " + place.reason() + "\n";
  }
  EXPECT_THAT(told, ::testing::ContainsRegex(
                        " positions [0-9]+ to 14[0-9], or the records before theirs, cannot be "
                        "read: malformed\n"));
  EXPECT_THAT(told, HasSubstr("run/3 payload does not match its digest\n"));
  EXPECT_THAT(told, HasSubstr("audit this checkpoint cannot be read\n"));
  EXPECT_GT(sink.messages.back().result().records(), 450u);
}

// Archives a stream in the middle of the pass, from where on it finds nothing of it.
TEST_F(StoreVerifierTest, WhatIsArchivedMeanwhileIsNoDamage) {
  for (int i = 0; i < 8; ++i) desk.append("big", 1, std::string(4 << 20, 'x').substr(20));
  desk.append("run/3", 5);
  desk.cover();
  bool archived = false;
  Send<api::VerifyStoreEvent> send = [&](api::VerifyStoreEvent event) -> Task<bool> {
    if (!std::exchange(archived, true)) {
      pb::ArchiveRequest archive;
      archive.set_stream("run/3");
      desk.store.archive(archive, [](const auto&) {});
    }
    if (event.has_result()) {
      EXPECT_TRUE(event.result().ok()) << event.ShortDebugString();
    }
    co_return true;
  };
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(desk.run(desk.audit->verify_store(Desk::admin(), {}, send)).ok());
  }
}

TEST_F(StoreVerifierTest, OneVerificationAtATime) {
  const Slot<bool> never;
  Send<api::VerifyStoreEvent> held = [never](api::VerifyStoreEvent) { return wait_for(never); };
  desk.scope.spawn([](Audit& audit, Send<api::VerifyStoreEvent> send) -> Task<void> {
    (void)co_await audit.verify_store(Desk::admin(), {}, std::move(send));
  }(*desk.audit, held));
  desk.executor.run_until_idle();
  EXPECT_EQ(desk.verified().status().code(), Code::kResourceExhausted);
  desk.scope.clear();
  EXPECT_TRUE(desk.verified().ok());
}

TEST_F(StoreVerifierTest, OnlyAnAdministratorMayAskForAnyOfIt) {
  Caller caller = Desk::admin();
  caller.scopes = {"runs.read", "runs.write", "approvals.decide"};
  Collect<api::VerifyStoreEvent> events;
  Collect<api::ExportAuditChunk> chunks;
  EXPECT_EQ(desk.run(desk.audit->verify_store(caller, {}, events.send())).code(),
            Code::kPermissionDenied);
  EXPECT_EQ(desk.run(desk.audit->export_audit(caller, {}, chunks.send())).code(),
            Code::kPermissionDenied);
  EXPECT_EQ(desk.run(desk.audit->witness(caller, {})).status().code(), Code::kPermissionDenied);
  EXPECT_EQ(desk.run(desk.audit->audit_key(caller, {})).status().code(), Code::kPermissionDenied);
}

}  // namespace
}  // namespace palyra::gateway::audit::testing
