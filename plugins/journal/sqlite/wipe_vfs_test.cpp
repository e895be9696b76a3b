// A database whose trees are balanced again and again holds nothing but what its rows hold.
#include "plugins/journal/sqlite/wipe_vfs.h"

#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/sqlite/schema.h"
#include "plugins/journal/sqlite/test_directory.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>

namespace palyra::journal::sqlite {
namespace {

constexpr char kSecret[] = "THE-COMBINATION-IS-12345";

class WipeVfsTest : public testing::Test {
 protected:
  std::unique_ptr<Database> open(const char* vfs) {
    auto db = Database::open(directory_.store(), true, vfs);
    EXPECT_TRUE(db.ok()) << db.status().to_string();
    run(**db, "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;");
    EXPECT_TRUE(configure(**db, true).ok());
    run(**db, "CREATE TABLE t(id INTEGER PRIMARY KEY, k BLOB UNIQUE, v BLOB);");
    return std::move(*db);
  }
  static void run(Database& db, const char* sql) {
    const Status status = db.execute(sql);
    EXPECT_TRUE(status.ok()) << status.to_string();
  }
  static void clear_log(Database& db) {
    EXPECT_EQ(
        sqlite3_wal_checkpoint_v2(db.raw(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr),
        SQLITE_OK);
  }
  // Rows of all sizes come, change their size and go, a few in each transaction.
  void live(Database& db, unsigned seed, int changes) {
    std::mt19937 engine(seed);
    Statement put = db.prepare("INSERT OR REPLACE INTO t VALUES(?,?,?)");
    Statement remove = db.prepare("DELETE FROM t WHERE id=?");
    for (int i = 0; i < changes; ++i) {
      if (i % 50 == 0) run(db, "BEGIN");
      const auto id = static_cast<int64_t>(engine() % 5000);
      if (engine() % 4 == 0) {
        EXPECT_EQ(remove.bind(1, id).step(), SQLITE_DONE);
        rows_.erase(id);
      } else {
        std::string value(engine() % 10 == 0 ? engine() % 20'000 : engine() % 1200, 'v');
        if (engine() % 2 == 0) value += kSecret;
        const std::string key = "key " + std::to_string(id) + std::string(engine() % 90, 'k');
        EXPECT_EQ(put.bind(1, id).bind_blob(2, key).bind_blob(3, value).step(), SQLITE_DONE);
        rows_[id] = value;
      }
      if (i % 50 == 49) run(db, "COMMIT");
      if (i % 700 == 699) clear_log(db);
      if (i % 1900 == 1899) run(db, "PRAGMA incremental_vacuum(20)");
    }
  }
  std::string bytes() const {
    std::ifstream file(directory_.store(), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // How often the secret is in the file after every row that had it is gone.
  size_t left_over(const char* vfs) {
    const auto db = open(vfs);
    live(*db, 7, 12'000);
    run(*db, "UPDATE t SET v=zeroblob(length(v))");
    clear_log(*db);
    const std::string all = bytes();
    size_t count = 0;
    for (size_t at = all.find(kSecret); at != std::string::npos; at = all.find(kSecret, at + 1)) {
      ++count;
    }
    return count;
  }

  TestDirectory directory_;
  std::map<int64_t, std::string> rows_;
};

TEST_F(WipeVfsTest, SqliteAloneLeavesBytesOfRowsThatAreGone) { EXPECT_GT(left_over("unix"), 0u); }

TEST_F(WipeVfsTest, NoByteOfARowThatIsGoneIsInTheFile) { EXPECT_EQ(left_over(nullptr), 0u); }

TEST_F(WipeVfsTest, NothingElseIsTouched) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  auto db = open(wipe_vfs());
  live(*db, seed, 15'000);
  clear_log(*db);
  db.reset();
  const auto again = Database::open(directory_.store(), false);
  ASSERT_TRUE(again.ok());
  const auto pages = (*again)->number("PRAGMA page_count");
  ASSERT_TRUE(pages.ok());
  ASSERT_GT(*pages, 822) << "for more than one page of pointers";
  Statement check = (*again)->prepare("PRAGMA integrity_check");
  ASSERT_EQ(check.step(), SQLITE_ROW);
  EXPECT_EQ(check.bytes(0), "ok");
  Statement all = (*again)->prepare("SELECT id, v FROM t");
  size_t count = 0;
  while (all.step() == SQLITE_ROW) {
    ++count;
    EXPECT_TRUE(rows_[all.integer(0)] == all.bytes(1)) << all.integer(0);
  }
  EXPECT_EQ(count, rows_.size());
}

}  // namespace
}  // namespace palyra::journal::sqlite
