// Files of older releases, brought forward.
#include "plugins/common/digest/digest.h"
#include "plugins/journal/contract/backend.h"
#include "plugins/journal/contract/requests.h"
#include "plugins/journal/sqlite/files.h"
#include "plugins/journal/sqlite/schema.h"
#include "plugins/journal/sqlite/store.h"
#include "plugins/journal/sqlite/test_directory.h"

#include <sqlite3.h>

#include <csignal>
#include <cstdlib>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace palyra::journal {
namespace {

using contract::Commit;

class MigratedBackend : public contract::Backend {
 public:
  Status open(const std::string& path) {
    auto opened = SqliteStore::open({.path = path}, clock, random);
    if (!opened.ok()) return opened.status();
    store_ = std::move(*opened);
    return {};
  }
  void close() { store_.reset(); }
  Store& store() override { return *store_; }
  void alter_payload(const std::string&, uint64_t, const std::string&) override {}
  void lose_payload(const std::string&, uint64_t) override {}

 private:
  std::unique_ptr<SqliteStore> store_;
};

class JournalMigration : public testing::Test {
 protected:
  JournalMigration() {
    const std::string file =
        std::string(std::getenv("PALYRA_SOURCE_DIR")) + "/plugins/journal/sqlite/testdata/v1.sql";
    const Result<std::string> sql = files::read(file, 1 << 20);
    EXPECT_TRUE(sql.ok()) << sql.status().to_string();
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql->c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  static int64_t version_of(const std::string& path) {
    const auto db = sqlite::Database::open(path, false);
    return db.ok() ? (*db)->number("PRAGMA user_version").value() : -1;
  }

  sqlite::TestDirectory directory_;
  const std::string path_ = directory_.store();
  const std::string before_ = path_ + ".before-v" + std::to_string(sqlite::kSchemaVersion);
  MigratedBackend backend_;
};

TEST_F(JournalMigration, AFileOfTheFirstReleaseKeepsAllAndACopyIsMadeBefore) {
  const Status opened = backend_.open(path_);
  ASSERT_TRUE(opened.ok()) << opened.to_string();
  EXPECT_EQ(backend_.info()->schema_version(), static_cast<uint32_t>(sqlite::kSchemaVersion));
  EXPECT_EQ(backend_.info()->position(), 6u);
  const auto records = backend_.read(contract::read("run/one"));
  ASSERT_EQ(records->records_size(), 4);
  EXPECT_EQ(records->records(1).payload(), "second");
  EXPECT_TRUE(records->records(2).erased());
  for (const std::string stream : {"run/one", "session/s"}) {
    const auto verdict = backend_.verify(stream);
    EXPECT_TRUE(verdict->ok()) << verdict->reason();
  }
  // Its schema counts as the journal's own.
  EXPECT_EQ(backend_.verify_store()->bad(), 0u) << backend_.verify_store()->ShortDebugString();
  EXPECT_EQ(contract::keys(*backend_.query(contract::query("runs", "created"))),
            (std::vector<std::string>{"one", "two"}));
  v1::QueryRequest words = contract::query("runs", "title");
  words.set_text("wor*");
  EXPECT_EQ(contract::keys(*backend_.query(words)), std::vector<std::string>{"one"});
  EXPECT_EQ(backend_.get("runs", "one")->document().value(), "the first");
  // What was there is still judged: versions, unique and audited, tokens.
  EXPECT_EQ(backend_.commit(Commit().put("runs", "two", "x", {{"name", "alpha"}})).status().code(),
            Code::kAlreadyExists);
  EXPECT_EQ(backend_.commit(Commit().put("approvals", "a", "x")).status().code(),
            Code::kFailedPrecondition);
  EXPECT_TRUE(backend_
                  .commit(Commit()
                              .append("run/one", "on it goes", 4)
                              .put("runs", "one", "new", {{"created", "20270101"}}, 3)
                              .fence("session/s", 7))
                  .ok());
  EXPECT_EQ(contract::keys(*backend_.query(contract::query("runs", "created"))),
            (std::vector<std::string>{"two", "one"}));
  EXPECT_TRUE(backend_.query(words)->documents().empty()) << "its old index entries are gone";
  v1::GetBlobRequest blob;
  blob.set_digest(digest::sha256("a blob"));
  EXPECT_EQ(backend_.get_blob(blob)->data(), "a blob");
  backend_.close();
  EXPECT_EQ(version_of(before_), 1);
  // Once: the copy is of before the first of them.
  std::filesystem::remove(before_);
  ASSERT_TRUE(backend_.open(path_).ok());
  EXPECT_FALSE(files::exists(before_));
}

TEST_F(JournalMigration, AnotherStoresCopyOfBeforeStaysAndThisOneHasItsOwn) {
  const std::string older = "an older store, kept when it was brought up";
  ASSERT_TRUE(files::write(before_, older).ok());
  ASSERT_TRUE(backend_.open(path_).ok());
  EXPECT_EQ(*files::read(before_, 1000), older);
  EXPECT_EQ(version_of(before_ + "-2"), 1);
}

TEST_F(JournalMigration, WithoutRoomForTheCopyNothingIsChanged) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{8192, 8192};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::_exit(backend_.open(path_).code() == Code::kResourceExhausted ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(version_of(path_), 1);
  EXPECT_FALSE(files::exists(before_));
  ASSERT_TRUE(backend_.open(path_).ok()) << "once there is room";
  EXPECT_EQ(backend_.info()->position(), 6u);
}

TEST_F(JournalMigration, TheNewestRecordsAreVerifiedBeforeAnybodyTrustsThem) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(db, "UPDATE payload SET data=x'00' WHERE position=3", nullptr, nullptr, nullptr),
      SQLITE_OK);
  sqlite3_close(db);
  const Status status = backend_.open(path_);
  EXPECT_EQ(status.code(), Code::kDataLoss) << status.to_string();
  EXPECT_NE(status.message().find("record 2 of run/one"), std::string::npos) << status.to_string();
  EXPECT_NE(status.message().find("palyra backup restore"), std::string::npos)
      << status.to_string();
}

}  // namespace
}  // namespace palyra::journal
