// What every backend promises of the archive: records that left the store are read, verified and
// erased as if they were still there.
#include "plugins/common/digest/digest.h"
#include "plugins/journal/contract/archive_fixture.h"

#include <condition_variable>
#include <mutex>

namespace palyra::journal::contract {
namespace {

using digest::sha256;

constexpr char kErasedText[] = "the secret of Monkey Island";

TEST_P(JournalArchive, ArchivedRecordsAreReadAsBefore) {
  write("s", 10);
  const auto before = backend_->read(read("s"));
  const v1::ArchiveResponse first = archive("s", 7);
  EXPECT_EQ(first.records(), 7u);
  EXPECT_EQ(first.archived_to(), 7u);
  EXPECT_FALSE(first.more());
  EXPECT_EQ(first.commit().appended(0).last_seq(), 11u);
  const auto after = backend_->read(read("s"));
  ASSERT_EQ(after->records_size(), 11);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(after->records(i).SerializeAsString(), before->records(i).SerializeAsString()) << i;
  }
  EXPECT_EQ(after->records(10).type(), "segment_closed");
  EXPECT_EQ(payloads(read("s", 3, 2)), "x3 x4 ");
  EXPECT_EQ(payloads(read("s", 7, 3)), "x7 x8 x9 ");
  EXPECT_EQ(payloads(read("s", 9, 4, true)), "x9 x8 x7 x6 ");
  EXPECT_EQ(payloads(read("s", 2, 0, true)), "x2 x1 ");
  EXPECT_EQ(payloads(read("s", 0, 2, true)), "<segment_closed> x10 ");
  EXPECT_EQ(payloads(read("s", 12)), "");
  v1::ReadRequest small = read("s", 6);
  small.set_max_bytes(3);
  EXPECT_EQ(payloads(small), "x6 ");

  ASSERT_TRUE(backend_->commit(Commit().append("s", "x12", 11)).ok());
  EXPECT_EQ(archive("s", 0).records(), 5u);
  EXPECT_EQ(archive("s", 12).records(), 0u) << "nothing is left";
  EXPECT_EQ(payloads(read("s", 6)), "x6 x7 x8 x9 x10 <segment_closed> x12 <segment_closed> ");
  EXPECT_EQ(payloads(read("s", 0, 4, true)), "<segment_closed> x12 <segment_closed> x10 ");
  EXPECT_EQ(backend_->read(read("s"))->head_seq(), 13u);
}

TEST_P(JournalArchive, AnArchivedStreamVerifiesFromItsFiles) {
  write("s", 10);
  archive("s", 4);
  archive("s", 9);
  const auto verdict = backend_->verify("s");
  EXPECT_TRUE(verdict->ok()) << verdict->reason();
  EXPECT_EQ(verdict->records(), 12u);
  EXPECT_EQ(verdict->archived(), 9u);
  EXPECT_EQ(verdict->archive_missing(), 0u);
  EXPECT_TRUE(backend_->verify("s", 3)->ok());
  EXPECT_EQ(backend_->verify("s", 3)->records(), 10u);
  EXPECT_TRUE(backend_->verify("s", 11)->ok());
}

TEST_P(JournalArchive, AMissingFileIsSaidAndTheRestVerifies) {
  write("s", 10);
  archive("s", 7);
  const std::string first = file_name("s");
  archive("s", 0);
  ASSERT_TRUE(backend_->files().remove(file_name("s")).ok());
  ASSERT_TRUE(backend_->files().remove(first).ok());
  write("other", 2);
  archive("other", 0);
  (void)backend_->read(read("other"));  // out of the cache
  const auto status = backend_->read(read("s")).status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_NE(status.message().find("records 1 to 7 of s"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find(".ndjson.gz"), std::string::npos);
  const auto verdict = backend_->verify("s");
  EXPECT_TRUE(verdict->ok()) << verdict->reason();
  EXPECT_EQ(verdict->archive_missing(), 11u);
  EXPECT_NE(verdict->reason().find(first), std::string::npos) << "named: " << verdict->reason();
  EXPECT_EQ(payloads(read("s", 12)), "<segment_closed> ");
}

TEST_P(JournalArchive, AnAlteredFileIsFound) {
  write("s", 10);
  archive("s", 7);
  const std::string name = file_name("s");
  std::string bytes = *backend_->files().read(name);
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(backend_->files().write(name, bytes).ok());
  write("other", 2);
  archive("other", 0);
  (void)backend_->read(read("other"));  // out of the cache
  EXPECT_EQ(backend_->read(read("s")).status().code(), Code::kDataLoss);
  const auto verdict = backend_->verify("s");
  EXPECT_FALSE(verdict->ok());
  EXPECT_EQ(verdict->bad_seq(), 1u);
  EXPECT_NE(verdict->reason().find("altered"), std::string::npos) << verdict->reason();
}

TEST_P(JournalArchive, ErasureReachesTheArchive) {
  ASSERT_TRUE(backend_->commit(Commit().append("s", "harmless")).ok());
  ASSERT_TRUE(backend_->commit(Commit().append("s", kErasedText)).ok());
  ASSERT_TRUE(backend_->commit(Commit().append("s", std::string("again ") + kErasedText)).ok());
  archive("s", 2);
  const std::string old_name = file_name("s");
  const auto erased = backend_->erase({"s", 2, 3, "asked to forget", "operator"});
  ASSERT_TRUE(erased.ok()) << erased.status().to_string();
  EXPECT_EQ(erased->appended(0).last_seq(), 6u) << "erased, and the file that came of it";
  EXPECT_FALSE(backend_->files().read(old_name).ok());
  EXPECT_EQ(payloads(read("s")), "harmless --<segment_closed> <erased> <segment_closed> ")
      << "the erased payloads";
}

TEST_P(JournalArchive, AnErasedArchiveVerifiesAndHoldsNothing) {
  write("s", 5, kErasedText);
  archive("s", 3);
  const auto erased = backend_->erase({"s", 1, 0, "asked to forget", "operator"});
  ASSERT_TRUE(erased.ok()) << erased.status().to_string();
  const auto verdict = backend_->verify("s");
  EXPECT_TRUE(verdict->ok()) << verdict->reason();
  EXPECT_EQ(verdict->erased(), 5u);
  v1::SegmentClosed last = closed("s");
  SegmentRow row;
  row.first_seq = last.first_seq();
  row.last_seq = last.last_seq();
  row.digest = last.archive_digest();
  const auto segment = decode_segment("s", row, *backend_->files().read(file_name("s")));
  ASSERT_TRUE(segment.ok()) << segment.status().to_string();
  for (const v1::Record& record : *segment) {
    EXPECT_TRUE(record.erased());
    EXPECT_EQ(record.payload() + record.salt(), "");
  }
  // Once more changes nothing in the archive.
  const auto again = backend_->erase({"s", 1, 0, "again", "operator"});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->appended(0).first_seq(), again->appended(0).last_seq());
  EXPECT_TRUE(backend_->files().read(file_name("s")).ok());
  EXPECT_TRUE(backend_->verify("s")->ok());
}

TEST_P(JournalArchive, TheCheckOfTheWholeStoreKnowsWhatWasArchived) {
  write("s", 6);
  archive("s", 2);
  archive("s", 5);
  archive("s", 0);
  write("s", 1);
  ASSERT_TRUE(backend_->erase({"s", 1, 3, "", ""}).ok());
  const auto page = backend_->call<v1::VerifyStoreResponse>(
      [&](auto done) { backend_->store().verify_store({}, done); });
  ASSERT_TRUE(page.ok()) << page.status().to_string();
  EXPECT_EQ(page->bad(), 0u) << page->ShortDebugString();
  EXPECT_EQ(page->absent(), page->archived());
  EXPECT_GE(page->archived(), 8u);
  v1::HeadsRequest request;
  v1::StreamSeq& at = *request.add_at();
  at.set_stream("s");
  at.set_seq(4);
  const auto heads =
      backend_->call<v1::HeadsResponse>([&](auto done) { backend_->store().heads(request, done); });
  ASSERT_EQ(heads->heads_size(), 1);
  EXPECT_EQ(heads->heads(0).hash(), backend_->read(read("s", 4, 1))->records(0).hash());
}

TEST_P(JournalArchive, ABlobThatOnlyTheArchiveNamesStaysUntilItIsErased) {
  constexpr int64_t kDay = 24 * 3600 * kNanosPerSecond;
  ASSERT_TRUE(backend_->put_blob(blob_part(sha256("kept"), 0, "kept", true)).ok());
  ASSERT_TRUE(backend_->commit(Commit().append("s", sha256("kept"))).ok());
  archive("s", 0);
  backend_->clock.advance(2 * kDay);
  EXPECT_EQ(*backend_->sweep(kDay), 0u);
  ASSERT_TRUE(backend_->erase({"s", 1, 1, "", ""}).ok());
  EXPECT_EQ(*backend_->sweep(kDay), 1u);
}

TEST_P(JournalArchive, ALongStreamIsArchivedInSegments) {
  const std::string big(3u << 20, 'b');
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(backend_->commit(Commit().append("s", big)).ok());
  const v1::ArchiveResponse first = archive("s", 2);
  EXPECT_TRUE(first.more());
  EXPECT_EQ(first.records(), 1u);
  const v1::ArchiveResponse second = archive("s", 2);
  EXPECT_FALSE(second.more());
  EXPECT_EQ(second.archived_to(), 2u);
  for (uint64_t seq = 1; seq <= 2; ++seq) {
    EXPECT_EQ(backend_->read(read("s", seq, 1))->records(0).payload(), big);
  }
  EXPECT_TRUE(backend_->verify("s")->ok());
}

TEST_P(JournalArchive, AListOfStreamsNamesFilesThatAreMissingOrAltered) {
  write("s", 6);
  archive("s", 4);
  write("t", 2);
  v1::ListStreamsRequest request;
  request.set_look_for_files(true);
  auto list = backend_->list_streams(request);
  ASSERT_TRUE(list.ok()) << list.status().to_string();
  ASSERT_EQ(list->streams_size(), 2);
  EXPECT_EQ(list->streams(0).missing_size(), 0);
  EXPECT_EQ(list->streams(0).archived_to(), 4u);
  EXPECT_EQ(list->streams(1).archived_to(), 0u);
  const std::string name = file_name("s");
  const std::string file = *backend_->files().read(name);
  const std::string closed_as = closed("s").SerializeAsString();
  for (const bool altered : {true, false}) {
    ASSERT_TRUE(backend_->files().remove(name).ok());
    if (altered) {
      ASSERT_TRUE(backend_->files().write(name, "other").ok());
    }
    list = backend_->list_streams(request);
    ASSERT_TRUE(list.ok()) << list.status().to_string();
    ASSERT_EQ(list->streams(0).missing_size(), 1) << altered;
    EXPECT_EQ(list->streams(0).missing(0).SerializeAsString(), closed_as);
    EXPECT_EQ(list->streams(0).last_seq(), 7u);
    EXPECT_EQ(list->streams(1).missing_size(), 0);
  }
  request.set_look_for_files(false);
  EXPECT_EQ(backend_->list_streams(request)->streams(0).missing_size(), 0);
}

TEST_P(JournalArchive, AStreamIsListedAsItWasBeforeItWasArchived) {
  write("s", 3);
  write("t", 1);
  archive("s", 3);
  v1::ListStreamsRequest request;
  request.set_up_to(2);
  auto list = backend_->list_streams(request);
  ASSERT_TRUE(list.ok()) << list.status().to_string();
  ASSERT_EQ(list->streams_size(), 1);
  EXPECT_EQ(list->streams(0).last_seq(), 2u);
  EXPECT_EQ(list->streams(0).last_position(), 2u);
  EXPECT_EQ(list->streams(0).last_hash(), backend_->read(read("s", 2, 1))->records(0).hash());
  // Without the file nobody knows where it was then: all of it may be missing.
  ASSERT_TRUE(backend_->files().remove(file_name("s")).ok());
  request.set_look_for_files(true);
  list = backend_->list_streams(request);
  ASSERT_TRUE(list.ok()) << list.status().to_string();
  ASSERT_EQ(list->streams_size(), 1);
  EXPECT_EQ(list->streams(0).last_seq(), 3u);
  EXPECT_EQ(list->streams(0).missing_size(), 1);
}

TEST_P(JournalArchive, AWatchFromTheBeginningGetsWhatIsStored) {
  write("s", 3);
  archive("s", 2);
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> types;
  const auto watch = backend_->store().watch({}, {[&](v1::WatchItem item) {
                                                    const std::lock_guard lock(mutex);
                                                    for (const auto& record : item.records()) {
                                                      types.push_back(record.type());
                                                    }
                                                    changed.notify_one();
                                                  },
                                                  [](Status) {}});
  watch->grant(1);
  backend_->pump();
  {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::seconds(60), [&] { return types.size() >= 2; });
    EXPECT_EQ(types, (std::vector<std::string>{"noted", "segment_closed"}));
  }
  watch->cancel();
}

TEST_P(JournalArchive, WhatCannotBeArchivedIsRefused) {
  EXPECT_EQ(backend_->archive(up_to("unknown", 0)).status().code(), Code::kNotFound);
  EXPECT_EQ(backend_->archive(up_to("", 0)).status().code(), Code::kInvalidArgument);
  write("\xff", 1);
  EXPECT_EQ(backend_->archive(up_to("\xff", 0)).status().code(), Code::kInvalidArgument);
  v1::CommitRequest forged = Commit().append("s", "x");
  forged.mutable_appends(0)->mutable_records(0)->set_type(kSegmentClosedType);
  EXPECT_EQ(backend_->commit(forged).status().code(), Code::kInvalidArgument);
  v1::MaintainRequest young;
  young.set_sweep_blobs(true);
  young.set_min_age_ms(1);
  EXPECT_EQ(backend_->maintain(young).status().code(), Code::kInvalidArgument);
}

TEST_P(JournalArchive, ADamagedTapeIsNotArchivedAndItsDamageStaysWhereItIsFound) {
  write("s", 6);
  backend_->alter_payload("s", 3, "forged");
  const auto status = backend_->archive(up_to("s", 5)).status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_NE(status.message().find("record 3 of s"), std::string::npos) << status.message();
  EXPECT_EQ(backend_->maintain({})->archived_segments(), 0u);
  EXPECT_EQ(backend_->verify("s")->bad_seq(), 3u);
}

TEST_P(JournalArchive, MaintainCountsWhatIsArchived) {
  write("s", 6);
  archive("s", 4);
  const auto report = backend_->maintain({});
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_EQ(report->archived_segments(), 1u);
  EXPECT_EQ(report->archived_records(), 4u);
  EXPECT_EQ(report->archive_bytes(), closed("s").file_bytes());
  EXPECT_FALSE(report->archive_location().empty());
}

}  // namespace
}  // namespace palyra::journal::contract
