// A closed store's file is changed by hand, as somebody with the disk can; verification of the
// whole store finds each change and says where it is.
#include "plugins/journal/contract/fakes.h"
#include "plugins/journal/contract/requests.h"
#include "plugins/journal/sqlite/store.h"
#include "plugins/journal/sqlite/test_directory.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <future>

namespace palyra::journal::contract {
namespace {

struct Change {
  const char* name;
  const char* sql;
  // The first bad place, and its reason's beginning.
  const char* stream;
  uint64_t seq;
  const char* reason;
  uint64_t absent = 0;
};

// Streams a (records 1..5 at the odd positions up to 9), b (1..5 at the even ones up to 10), and
// record 1 of c at position 11.
const Change kChanges[] = {
    {"Nothing", "SELECT 1", "", 0, ""},
    {"AlteredPayload", "UPDATE payload SET data='other' WHERE position=3", "a", 2,
     "payload does not match"},
    {"AlteredSalt", "UPDATE payload SET salt=zeroblob(16) WHERE position=3", "a", 2,
     "payload does not match"},
    {"AlteredTime", "UPDATE record SET wall_time_ns=1 WHERE position=4", "b", 2, "hash mismatch"},
    {"AlteredType", "UPDATE record SET type='other' WHERE position=4", "b", 2, "hash mismatch"},
    {"AlteredDigestAndPayload",
     "UPDATE record SET payload_digest=zeroblob(32) WHERE position=4; "
     "UPDATE payload SET data='x' WHERE position=4",
     "b", 2, "hash mismatch"},
    {"AlteredHash", "UPDATE record SET hash=zeroblob(32) WHERE position=4", "b", 2,
     "hash mismatch"},
    {"HashOfWrongSize", "UPDATE record SET hash=x'00' WHERE position=4", "b", 2, "is no record"},
    {"DeletedRecord", "DELETE FROM record WHERE position=5", "a", 3, "is missing", 1},
    {"DeletedRecords", "DELETE FROM record WHERE position IN (3,5)", "a", 2, "to 3 are missing", 2},
    {"DeletedFirst", "DELETE FROM record WHERE position=1", "a", 1, "is missing", 1},
    {"DeletedPayload", "DELETE FROM payload WHERE position=5", "a", 3, "payload is missing"},
    {"Inserted",
     "INSERT INTO record SELECT 12, stream, 6, type, wall_time_ns, payload_digest, hash, hash FROM "
     "record WHERE position=9; INSERT INTO payload SELECT 12, salt, data FROM payload WHERE "
     "position=9",
     "a", 6, "hash mismatch"},
    {"Swapped",
     "UPDATE record SET seq=99 WHERE position=3; UPDATE record SET seq=2 WHERE position=5; "
     "UPDATE record SET seq=3 WHERE position=3",
     "a", 3, "does not follow"},
    {"MovedToAnotherStream",
     "UPDATE record SET stream=(SELECT stream FROM record WHERE position=11), seq=2 WHERE "
     "position=9",
     "c", 2, "does not follow"},
    {"RenamedStream", "UPDATE stream SET name='d' WHERE name='c'", "d", 1, "hash mismatch"},
    {"LostStreamRow", "DELETE FROM stream WHERE name='c'", "(unnamed stream 3)", 1, "its stream"},
    {"MovedOutOfSight", "UPDATE record SET position=-7 WHERE position=5", "a", 3,
     "is hidden at position -7", 1},
    {"MovedOutOfSightAndTheHoleFilled",
     "UPDATE payload SET position=0, data='other' WHERE position=5; "
     "UPDATE record SET position=0 WHERE position=5; "
     "INSERT INTO record SELECT 5, stream, 2, type, wall_time_ns, payload_digest, hash, hash FROM "
     "record WHERE position=11; INSERT INTO payload SELECT 5, salt, data FROM payload WHERE "
     "position=11",
     "a", 3, "is hidden at position 0"},
    // A second record 5 of a, under an index that lets it be; its hash is right for what it says.
    {"ASecondOneOfTheSameNumber",
     "DROP INDEX record_by_stream; CREATE INDEX record_by_stream ON record(stream, seq);"
     "INSERT INTO record SELECT 12, stream, seq, type, wall_time_ns, payload_digest, prev_hash, "
     "hash FROM record WHERE position=9; INSERT INTO payload SELECT 12, salt, data FROM payload "
     "WHERE position=9",
     "", 0, "the schema was altered"},
    {"ASecondOneOfTheSameNumberUnderAForgedSchema",
     "DROP INDEX record_by_stream; CREATE INDEX record_by_stream ON record(stream, seq);"
     "INSERT INTO record SELECT 12, stream, seq, type, wall_time_ns, payload_digest, prev_hash, "
     "hash FROM record WHERE position=9; INSERT INTO payload SELECT 12, salt, data FROM payload "
     "WHERE position=9; PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql='CREATE UNIQUE "
     "INDEX record_by_stream ON record(stream, seq)' WHERE name='record_by_stream'",
     "a", 5, "is in the store twice"},
    {"ASecondOneThatTheIndexTakesForAnother",
     "INSERT INTO record SELECT 12, stream, 5.5, type, wall_time_ns, payload_digest, prev_hash, "
     "hash FROM record WHERE position=9; INSERT INTO payload SELECT 12, salt, data FROM payload "
     "WHERE position=9",
     "a", 5, "is no record"},
    {"ASecondStreamOfTheSameName",
     "INSERT INTO stream VALUES(99, CAST('a' AS BLOB)); INSERT INTO record SELECT 12, 99, seq, "
     "type, wall_time_ns, payload_digest, prev_hash, hash FROM record WHERE position=1; INSERT "
     "INTO payload SELECT 12, salt, data FROM payload WHERE position=1",
     "(unnamed stream 99)", 1, "its stream has no name"},
    {"MovedBehindALaterOne",
     "UPDATE record SET position=12 WHERE position=3; UPDATE payload SET position=12 WHERE "
     "position=3",
     "a", 3, "stands before", 1},
    {"ATriggerThatChangesWhatIsWritten",
     "CREATE TRIGGER later AFTER INSERT ON payload BEGIN SELECT 1; END", "", 0,
     "the schema was altered"},
    // The chain alone cannot tell these; the positions show that something is missing.
    {"TruncatedStream", "DELETE FROM record WHERE position IN (7,9)", "", 0, "", 2},
    {"WholeStream", "DELETE FROM record WHERE stream=2; DELETE FROM stream WHERE name='b'", "", 0,
     "", 5},
};

class Tampering : public testing::TestWithParam<Change> {
 protected:
  void open() {
    // The opening would refuse most of them: what is tested is the check behind it.
    auto opened =
        SqliteStore::open({.path = directory_.store(), .checked_records = 0}, clock_, random_);
    ASSERT_TRUE(opened.ok()) << opened.status().to_string();
    store_ = std::move(*opened);
  }
  void commit(const v1::CommitRequest& request) {
    std::promise<Status> done;
    store_->commit(request, [&](auto result) { done.set_value(result.status()); });
    const Status status = done.get_future().get();
    ASSERT_TRUE(status.ok()) << status.to_string();
  }
  v1::VerifyStoreResponse verify() {
    std::promise<Result<v1::VerifyStoreResponse>> done;
    store_->verify_store({}, [&](auto result) { done.set_value(std::move(result)); });
    const auto result = done.get_future().get();
    EXPECT_TRUE(result.ok()) << result.status().to_string();
    return result.ok() ? *result : v1::VerifyStoreResponse();
  }
  void change(const char* sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(directory_.store().c_str(), &db), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }

  sqlite::TestDirectory directory_;
  ManualClock clock_;
  SeededRandom random_;
  std::unique_ptr<SqliteStore> store_;
};

TEST_P(Tampering, IsFoundWhereItIs) {
  open();
  Commit records;
  for (int i = 1; i <= 5; ++i) {
    records.append("a", "a" + std::to_string(i)).append("b", "b" + std::to_string(i));
  }
  commit(records.append("c", "c1"));
  store_.reset();
  change(GetParam().sql);
  open();
  const v1::VerifyStoreResponse page = verify();
  EXPECT_EQ(page.absent(), GetParam().absent) << page.DebugString();
  if (*GetParam().stream == '\0' && *GetParam().reason == '\0') {
    EXPECT_EQ(page.bad(), 0u) << page.DebugString();
    return;
  }
  ASSERT_GE(page.bad(), 1u);
  EXPECT_EQ(page.first_bad(0).stream(), GetParam().stream) << page.DebugString();
  EXPECT_EQ(page.first_bad(0).seq(), GetParam().seq) << page.DebugString();
  EXPECT_EQ(page.first_bad(0).reason().rfind(GetParam().reason, 0), 0u) << page.DebugString();
}

INSTANTIATE_TEST_SUITE_P(Store, Tampering, testing::ValuesIn(kChanges),
                         [](const auto& change) { return std::string(change.param.name); });

}  // namespace
}  // namespace palyra::journal::contract
