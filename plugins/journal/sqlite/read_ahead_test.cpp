#include "plugins/journal/sqlite/read_ahead.h"

#include "plugins/journal/sqlite/schema.h"
#include "plugins/journal/sqlite/test_directory.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>

namespace palyra::journal::sqlite {
namespace {

constexpr int kRows = 4'000;

std::string content(int64_t id, char version) {
  return std::to_string(id) + std::string(static_cast<size_t>(id) % 700, version);
}

// Two tables that grow side by side, some 800 pages.
class ReadAheadTest : public testing::Test {
 protected:
  ReadAheadTest() : writer_(open(nullptr)) {
    run("PRAGMA journal_mode=WAL; CREATE TABLE head(id INTEGER PRIMARY KEY, name BLOB);"
        "CREATE TABLE body(id INTEGER PRIMARY KEY, data BLOB);");
    write('a');
  }

  std::unique_ptr<Database> open(const char* vfs) {
    auto db = Database::open(directory_.store(), true, vfs);
    EXPECT_TRUE(db.ok()) << db.status().to_string();
    EXPECT_TRUE(configure(**db, vfs == nullptr).ok());
    return std::move(*db);
  }
  std::unique_ptr<Database> open_reader() { return open(read_ahead_vfs()); }

  void run(const char* sql) {
    const Status status = writer_->execute(sql);
    EXPECT_TRUE(status.ok()) << status.to_string();
  }
  void write(char version) {
    run("BEGIN");
    Statement head = writer_->prepare("INSERT OR REPLACE INTO head VALUES(?,?)");
    Statement body = writer_->prepare("INSERT OR REPLACE INTO body VALUES(?,?)");
    for (int64_t id = 1; id <= kRows; ++id) {
      const std::string data = content(id, version);
      EXPECT_EQ(head.bind(1, id).bind_blob(2, data).step(), SQLITE_DONE);
      EXPECT_EQ(body.bind(1, id).bind_blob(2, data).step(), SQLITE_DONE);
    }
    run("COMMIT");
  }
  // Into the database, as far as readers allow it.
  void checkpoint() { run("PRAGMA wal_checkpoint(PASSIVE)"); }

  static constexpr char kPass[] =
      "SELECT h.id, h.name, b.data FROM head h LEFT JOIN body b ON b.id=h.id ORDER BY h.id";

  // Rows up to `last`; each must hold what `version` wrote.
  static int read_rows(Statement& pass, char version, int last = kRows) {
    int rows = 0;
    while (rows < last && pass.step() == SQLITE_ROW) {
      ++rows;
      const std::string expected = content(pass.integer(0), version);
      EXPECT_EQ(pass.bytes(1), expected);
      EXPECT_EQ(pass.bytes(2), expected);
      if (testing::Test::HasFailure()) break;
    }
    return rows;
  }

  // System calls that read, of this process so far.
  static uint64_t reads() {
    std::ifstream file("/proc/self/io");
    std::map<std::string, uint64_t> counters;
    std::string name;
    for (uint64_t value = 0; file >> name >> value;) counters[name] = value;
    return counters["syscr:"];
  }

  TestDirectory directory_;
  std::unique_ptr<Database> writer_;
};

TEST_F(ReadAheadTest, APassReadsTheSameInFewCalls) {
  checkpoint();
  const auto reader = open_reader();
  Statement pass = reader->prepare(kPass);
  const uint64_t before = reads();
  EXPECT_EQ(read_rows(pass, 'a'), kRows);
  pass.reset();
  const uint64_t alone = reads() - before;
  EXPECT_GT(alone, 300u) << "the tables are too small for this test";

  const auto fresh = open_reader();
  Statement again = fresh->prepare(kPass);
  const ReadAhead ahead(*fresh);
  const uint64_t between = reads();
  EXPECT_EQ(read_rows(again, 'a'), kRows);
  EXPECT_LT(reads() - between, alone / 8);
}

TEST_F(ReadAheadTest, APassSeesOneStateThoughTheDatabaseIsWrittenMeanwhile) {
  checkpoint();
  const auto reader = open_reader();
  Statement pass = reader->prepare(kPass);
  {
    const ReadAhead ahead(*reader);
    EXPECT_EQ(read_rows(pass, 'a', kRows / 2), kRows / 2);
    write('b');
    checkpoint();
    EXPECT_EQ(read_rows(pass, 'a'), kRows / 2);
    pass.reset();
  }
  checkpoint();
  const ReadAhead ahead(*reader);
  EXPECT_EQ(read_rows(pass, 'b'), kRows) << "the next pass sees what was written";
}

TEST_F(ReadAheadTest, APassThatBeganBehindTheLogSeesItsState) {
  checkpoint();
  write('b');
  const auto reader = open_reader();
  Statement pass = reader->prepare(kPass);
  const ReadAhead ahead(*reader);
  EXPECT_EQ(read_rows(pass, 'b', kRows / 2), kRows / 2);
  checkpoint();
  write('c');
  checkpoint();
  EXPECT_EQ(read_rows(pass, 'b'), kRows / 2);
}

TEST_F(ReadAheadTest, ATruncatedFileIsAnErrorAndNoSignal) {
  checkpoint();
  const auto reader = open_reader();
  Statement pass = reader->prepare(kPass);
  const ReadAhead ahead(*reader);
  EXPECT_EQ(read_rows(pass, 'a', 100), 100);
  const auto size = std::filesystem::file_size(directory_.store());
  std::filesystem::resize_file(directory_.store(), size / 2);
  int code = SQLITE_ROW;
  while (code == SQLITE_ROW) code = pass.step();
  EXPECT_NE(code, SQLITE_DONE);
  EXPECT_FALSE(reader->status(code).ok());
}

TEST_F(ReadAheadTest, AnOrdinaryConnectionIsLeftAlone) {
  const auto plain = open(nullptr);
  const ReadAhead ahead(*plain);
  Statement pass = plain->prepare(kPass);
  EXPECT_EQ(read_rows(pass, 'a'), kRows);
}

}  // namespace
}  // namespace palyra::journal::sqlite
