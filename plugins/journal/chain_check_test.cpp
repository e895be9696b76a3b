#include "plugins/journal/chain_check.h"

#include <gtest/gtest.h>

namespace palyra::journal {
namespace {

// Makes the record follow `prev`, which then is its own hash.
void link(v1::Record& record, std::string& prev, RecordHasher& hasher) {
  record.set_payload_digest(
      std::string(digest::view(hasher.payload_digest(record.salt(), record.payload()))));
  record.set_prev_hash(prev);
  prev = std::string(digest::view(hasher.record_hash({.stream = "s",
                                                      .seq = record.seq(),
                                                      .prev_hash = prev,
                                                      .type = record.type(),
                                                      .wall_time_ns = record.wall_time_ns(),
                                                      .payload_digest = record.payload_digest()})));
  record.set_hash(prev);
}

// A chain of three honest records.
std::vector<v1::Record> chain() {
  std::vector<v1::Record> records;
  RecordHasher hasher;
  std::string prev(digest::view(kNoHash));
  for (uint64_t seq = 1; seq <= 3; ++seq) {
    v1::Record& record = records.emplace_back();
    record.set_seq(seq);
    record.set_type("noted");
    record.set_wall_time_ns(static_cast<int64_t>(seq));
    record.set_payload("p" + std::to_string(seq));
    record.set_salt(std::string(16, 's'));
    link(record, prev, hasher);
  }
  return records;
}

v1::VerifyResponse check(const std::vector<v1::Record>& records) {
  ChainCheck check("s", 1, std::string(digest::view(kNoHash)));
  for (const v1::Record& record : records) check.add(record);
  return check.result();
}

TEST(ChainCheck, AcceptsAnHonestChain) {
  const v1::VerifyResponse verdict = check(chain());
  EXPECT_TRUE(verdict.ok()) << verdict.reason();
  EXPECT_EQ(verdict.records(), 3u);
  EXPECT_EQ(verdict.head_hash(), chain()[2].hash());
}

TEST(ChainCheck, FindsEveryAlteredField) {
  const std::vector<std::function<void(v1::Record&)>> alterations = {
      [](v1::Record& r) { r.set_payload("x"); },
      [](v1::Record& r) { r.set_salt(std::string(16, 'x')); },
      [](v1::Record& r) { r.set_type("other"); },
      [](v1::Record& r) { r.set_wall_time_ns(77); },
      [](v1::Record& r) { r.set_payload_digest(std::string(32, 'x')); },
      [](v1::Record& r) { r.set_prev_hash(std::string(32, 'x')); },
      [](v1::Record& r) { r.set_hash(std::string(32, 'x')); },
      [](v1::Record& r) { r.set_seq(9); }};
  for (size_t i = 0; i < alterations.size(); ++i) {
    std::vector<v1::Record> records = chain();
    alterations[i](records[1]);
    const v1::VerifyResponse verdict = check(records);
    EXPECT_FALSE(verdict.ok()) << "alteration " << i;
    EXPECT_EQ(verdict.bad_seq(), 2u) << "alteration " << i;
  }
}

TEST(ChainCheck, FindsARemovedRecord) {
  std::vector<v1::Record> records = chain();
  records.erase(records.begin() + 1);
  EXPECT_EQ(check(records).bad_seq(), 2u);
}

TEST(ChainCheck, AnErasedPayloadNeedsAReason) {
  std::vector<v1::Record> records = chain();
  records[0].clear_payload();
  records[0].clear_salt();
  records[0].set_erased(true);
  const v1::VerifyResponse verdict = check(records);
  EXPECT_FALSE(verdict.ok());
  EXPECT_EQ(verdict.bad_seq(), 1u);
}

// A chain whose records 1 to 12 lost their payloads, and one `erased` record behind for each range.
std::vector<v1::Record> erased_chain(const std::vector<std::pair<uint64_t, uint64_t>>& ranges) {
  constexpr uint64_t kEmpty = 12;
  std::vector<v1::Record> records;
  RecordHasher hasher;
  std::string prev(digest::view(kNoHash));
  for (uint64_t seq = 1; seq <= kEmpty + ranges.size(); ++seq) {
    v1::Record& record = records.emplace_back();
    record.set_seq(seq);
    record.set_type("noted");
    record.set_salt(std::string(16, 's'));
    if (seq > kEmpty) {
      v1::Erased erased;
      erased.set_first_seq(ranges[seq - kEmpty - 1].first);
      erased.set_last_seq(ranges[seq - kEmpty - 1].second);
      record.set_type("erased");
      record.set_payload(erased.SerializeAsString());
    }
    link(record, prev, hasher);
    if (seq <= kEmpty) {
      record.clear_salt();
      record.set_erased(true);
    }
  }
  return records;
}

TEST(ChainCheck, SeveralErasuresMayExplainOneGapTogetherInAnyOrder) {
  EXPECT_EQ(check(erased_chain({{7, 12}, {1, 3}, {2, 2}, {3, 6}})).bad_seq(), 0u);
  EXPECT_EQ(check(erased_chain({{1, 12}, {4, 5}})).bad_seq(), 0u);
  EXPECT_EQ(check(erased_chain({{1, 4}, {6, 12}})).bad_seq(), 5u);
  EXPECT_EQ(check(erased_chain({{6, 12}, {2, 5}})).bad_seq(), 1u);
  EXPECT_EQ(check(erased_chain({{1, 11}, {3, 4}, {3, 4}})).bad_seq(), 12u);
}

}  // namespace
}  // namespace palyra::journal
