// The faults that a store on disk has to stand.
#include "plugins/journal/contract/backend.h"
#include "plugins/journal/contract/requests.h"
#include "plugins/journal/sqlite/store.h"
#include "plugins/journal/sqlite/test_directory.h"

#include <sqlite3.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace palyra::journal {
namespace {

using contract::Commit;

// A store in a directory of the test.
class DiskBackend : public contract::Backend {
 public:
  explicit DiskBackend(std::string path) : path_(std::move(path)) {}
  Status open(uint64_t max_bytes = 0, uint64_t min_free = 0) {
    auto opened = SqliteStore::open(
        {.path = path_, .max_bytes = max_bytes, .min_free_bytes = min_free}, clock, random);
    if (!opened.ok()) return opened.status();
    store_ = std::move(*opened);
    return {};
  }
  void close() { store_.reset(); }
  Store& store() override { return *store_; }
  void alter_payload(const std::string&, uint64_t, const std::string&) override {}
  void lose_payload(const std::string&, uint64_t) override {}
  SegmentFiles& files() override { return files_; }

 private:
  std::string path_;
  MemorySegmentFiles files_;
  std::unique_ptr<SqliteStore> store_;
};

class JournalFault : public testing::Test {
 protected:
  void write_some(int count) {
    ASSERT_TRUE(backend_.open().ok());
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(backend_.commit(Commit().append("s", std::string(500, 'x'))).ok());
    }
    backend_.close();
  }
  sqlite::TestDirectory directory_;
  DiskBackend backend_{directory_.store()};
};

// Runs the writer, kills it after `lines` acknowledgements, and gives back what it acknowledged:
// the highest sequence number of each stream.
std::map<std::string, uint64_t> write_and_kill(const std::string& path, uint64_t seed, int lines) {
  std::map<std::string, uint64_t> acknowledged;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return acknowledged;
  const char* const writer = std::getenv("PALYRA_JOURNAL_WRITER");
  const std::string seed_text = std::to_string(seed);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::execl(writer, writer, path.c_str(), seed_text.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  std::FILE* const output = ::fdopen(ends[0], "r");
  char stream[64];
  unsigned long long seq = 0;
  for (int read = 0; std::fscanf(output, "%63s %llu", stream, &seq) == 2; ++read) {
    acknowledged[stream] = std::max<uint64_t>(acknowledged[stream], seq);
    // What is in the pipe after the kill was acknowledged too, so reading goes on to its end.
    if (read == lines) ::kill(child, SIGKILL);
  }
  std::fclose(output);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself with " << status;
  return acknowledged;
}

TEST_F(JournalFault, NothingAcknowledgedIsLostByKill9) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 engine(seed);
  std::map<std::string, uint64_t> acknowledged;
  for (int round = 0; round < 8; ++round) {
    const auto fresh = write_and_kill(directory_.store(), seed + static_cast<uint64_t>(round),
                                      static_cast<int>(engine() % 700));
    ASSERT_FALSE(fresh.empty());
    for (const auto& [stream, seq] : fresh) acknowledged[stream] = seq;
    const Status opened = backend_.open();
    ASSERT_TRUE(opened.ok()) << opened.to_string();
    for (const auto& [stream, seq] : acknowledged) {
      const auto verdict = backend_.verify(stream);
      ASSERT_TRUE(verdict.ok()) << verdict.status().to_string();
      EXPECT_TRUE(verdict->ok()) << verdict->reason();
      EXPECT_GE(verdict->records(), seq) << stream;
      const auto head = backend_.read(contract::read(stream, 0, 1, true));
      EXPECT_EQ(backend_.get("last", stream)->document().value(), head->records(0).payload())
          << "record and document of one commit";
    }
    backend_.close();
  }
}

TEST_F(JournalFault, ATornLogKeepsWhatComesBeforeTheTear) {
  write_and_kill(directory_.store(), 1, 50);
  const std::string log = directory_.store() + "-wal";
  ASSERT_GT(std::filesystem::file_size(log), 40'000u);
  std::filesystem::resize_file(log, 40'000);
  const Status opened = backend_.open();
  ASSERT_TRUE(opened.ok()) << opened.to_string();
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(backend_.verify("s/" + std::to_string(i))->ok());
  EXPECT_TRUE(backend_.commit(Commit().append("s/1", "on it goes")).ok());
}

TEST_F(JournalFault, ADamagedPageIsReportedNamingTheFile) {
  write_some(300);
  // All is in the database after an orderly end; the log that is kept would hide the damage.
  std::filesystem::remove(directory_.store() + "-wal");
  {
    std::fstream file(directory_.store(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string rubbish(4096, '\x5a');
    const auto size = std::filesystem::file_size(directory_.store());
    ASSERT_GT(size, 30u * 4096);
    for (std::uintmax_t at = 8 * 4096; at + 4096 <= size; at += 4096) {
      file.seekp(static_cast<std::streamoff>(at));
      file.write(rubbish.data(), 4096);
    }
  }
  Status status = backend_.open();
  if (status.ok()) status = backend_.verify("s").status();
  if (status.ok()) status = backend_.read(contract::read("s")).status();
  EXPECT_EQ(status.code(), Code::kDataLoss) << status.to_string();
  EXPECT_NE(status.message().find(directory_.store()), std::string::npos) << status.to_string();
}

TEST_F(JournalFault, AFileThatIsNoDatabaseIsRefused) {
  std::ofstream(directory_.store()) << std::string(8192, 'x');
  const Status status = backend_.open();
  EXPECT_EQ(status.code(), Code::kDataLoss) << status.to_string();
}

TEST_F(JournalFault, ANewerSchemaIsRefusedWithAClearSentence) {
  write_some(1);
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(directory_.store().c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "PRAGMA user_version=99", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  const Status status = backend_.open();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_NE(status.message().find("newer version"), std::string::npos) << status.to_string();
}

TEST_F(JournalFault, AnotherProgramsDatabaseIsLeftAlone) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(directory_.store().c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "CREATE TABLE theirs(x)", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  EXPECT_EQ(backend_.open().code(), Code::kFailedPrecondition);
}

TEST_F(JournalFault, ASecondOpenerIsRefusedAndToldWhoIsFirst) {
  ASSERT_TRUE(backend_.open().ok());
  DiskBackend second(directory_.store());
  const Status status = second.open();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_NE(status.message().find("process " + std::to_string(::getpid())), std::string::npos)
      << status.to_string();
  backend_.close();
  EXPECT_TRUE(second.open().ok());
}

TEST_F(JournalFault, AMissingOrReadOnlyDirectoryIsSaidPlainly) {
  DiskBackend nowhere(directory_.path() + "/missing/journal.sqlite");
  const Status missing = nowhere.open();
  EXPECT_EQ(missing.code(), Code::kPermissionDenied);
  EXPECT_NE(missing.message().find("state directory"), std::string::npos) << missing.to_string();
  if (::geteuid() == 0) return;  // root may write everywhere
  std::filesystem::permissions(
      directory_.path(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  EXPECT_EQ(backend_.open().code(), Code::kPermissionDenied);
}

TEST_F(JournalFault, AFullDiskRefusesWritesKeepsReadsAndRecovers) {
  ASSERT_TRUE(backend_.open(16u << 20).ok());
  ASSERT_TRUE(backend_.commit(Commit().append("s", "before")).ok());
  Status status;
  uint64_t written = 1;
  for (int i = 0; i < 100 && status.ok(); ++i) {
    status = backend_.commit(Commit().append("s", std::string(1u << 20, 'x'))).status();
    if (status.ok()) ++written;
  }
  EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.to_string();
  EXPECT_EQ(backend_.read(contract::read("s", 1, 1))->records(0).payload(), "before");
  EXPECT_EQ(backend_.read(contract::read("s", 0, 1, true))->head_seq(), written)
      << "nothing half-written";
  EXPECT_FALSE(backend_.info()->write_refusal().empty());
  backend_.close();
  ASSERT_TRUE(backend_.open().ok());
  EXPECT_TRUE(backend_.commit(Commit().append("s", "after", written)).ok());
  EXPECT_TRUE(backend_.info()->write_refusal().empty());
  EXPECT_TRUE(backend_.verify("s")->ok());
}

TEST_F(JournalFault, NearTheLimitNewStreamsAreRefusedAndOldOnesGoOnUntilThereIsRoom) {
  constexpr uint64_t kLimit = 16u << 20;
  ASSERT_TRUE(backend_.open(kLimit, 64u << 20).ok());
  uint64_t written = 0;
  Status refused;
  while (written < 100 && refused.ok()) {
    backend_.clock.advance(2 * kNanosPerSecond);
    ASSERT_TRUE(backend_.commit(Commit().append("old", std::string(1u << 20, 'x'))).ok());
    ++written;
    refused = backend_.commit(Commit().append("new/" + std::to_string(written), "x")).status();
  }
  EXPECT_EQ(refused.code(), Code::kResourceExhausted) << refused.to_string();
  EXPECT_NE(refused.message().find("max_bytes"), std::string::npos) << refused.message();
  EXPECT_EQ(backend_.info()->write_refusal(), refused.message());
  EXPECT_TRUE(backend_.commit(Commit().append("old", "what runs goes on")).ok());
  EXPECT_EQ(backend_.read(contract::read("new/" + std::to_string(written)))->head_seq(), 0u);

  v1::ArchiveRequest request;
  request.set_stream("old");
  ASSERT_TRUE(backend_.archive(request).ok());
  backend_.clock.advance(3 * kNanosPerSecond);
  EXPECT_TRUE(backend_.info()->write_refusal().empty());
  EXPECT_TRUE(backend_.commit(Commit().append("new/after", "x")).ok());
}

TEST_F(JournalFault, AFullDiskIsProbedNowAndThenAndRecoversByItself) {
  sqlite::SpaceGuard guard(backend_.clock, "/data", 64u << 20, 0);
  EXPECT_TRUE(guard.due());
  guard.look({.disk_free = 1u << 30});
  EXPECT_TRUE(guard.refusal().ok());
  EXPECT_FALSE(guard.due());
  guard.failed();
  EXPECT_EQ(guard.refusal().code(), Code::kResourceExhausted);
  EXPECT_FALSE(guard.due());
  backend_.clock.advance(2 * kNanosPerSecond);
  EXPECT_TRUE(guard.due());
  guard.look({.disk_free = 1u << 20});
  EXPECT_NE(guard.refusal().message().find("the disk of /data is full (1 MiB free"),
            std::string::npos)
      << guard.refusal().message();
  guard.look({.disk_free = 1u << 30});
  EXPECT_TRUE(guard.refusal().ok());
  guard.failed();
  guard.wrote();
  EXPECT_TRUE(guard.refusal().ok()) << "a write that was made says that there is room";
}

}  // namespace
}  // namespace palyra::journal
