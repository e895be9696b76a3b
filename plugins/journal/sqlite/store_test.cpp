#include "plugins/journal/sqlite/store.h"

#include "plugins/journal/contract/archive_fixture.h"
#include "plugins/journal/contract/backend.h"
#include "plugins/journal/contract/requests.h"
#include "plugins/journal/sqlite/files.h"
#include "plugins/journal/sqlite/test_directory.h"

#include <gmock/gmock.h>
#include <sqlite3.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace palyra::journal::contract {
namespace {

// Changes the file behind the store's back.
void tamper(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 5000);
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(db);
  sqlite3_close(db);
}

class SqliteBackend : public Backend {
 public:
  SqliteBackend() : path_(directory_.store()) { open(); }
  explicit SqliteBackend(std::string path) : path_(std::move(path)) { open(); }
  void open(sqlite::WriteQueue::Bounds queue = {}) {
    auto opened = SqliteStore::open({.path = path_, .queue = queue}, clock, random);
    ASSERT_TRUE(opened.ok()) << opened.status().to_string();
    store_ = std::move(*opened);
  }
  void close() { store_.reset(); }
  void reopen(sqlite::WriteQueue::Bounds queue = {}) {
    close();
    open(queue);
  }
  SqliteStore& store() override { return *store_; }
  SegmentFiles& files() override { return files_; }
  void alter_payload(const std::string& stream, uint64_t seq, const std::string& payload) override {
    tamper(path_,
           "UPDATE payload SET data=CAST('" + payload + "' AS BLOB) WHERE " + where(stream, seq));
  }
  void lose_payload(const std::string& stream, uint64_t seq) override {
    tamper(path_, "DELETE FROM payload WHERE " + where(stream, seq));
  }
  std::string path() const { return path_; }

 private:
  static std::string where(const std::string& stream, uint64_t seq) {
    return "position=(SELECT position FROM record WHERE seq=" + std::to_string(seq) +
           " AND stream=(SELECT id FROM stream WHERE name='" + stream + "'))";
  }

  sqlite::TestDirectory directory_;
  const std::string path_;
  DirectorySegmentFiles files_{directory_.path() + "/segments"};
  std::unique_ptr<SqliteStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, JournalContract,
                         testing::Values(BackendFactory{
                             "sqlite", [] { return std::unique_ptr<Backend>(new SqliteBackend); }}),
                         [](const auto& made) { return std::string(made.param.name); });

INSTANTIATE_TEST_SUITE_P(Sqlite, JournalArchive,
                         testing::Values(BackendFactory{
                             "sqlite", [] { return std::unique_ptr<Backend>(new SqliteBackend); }}),
                         [](const auto& made) { return std::string(made.param.name); });

v1::ArchiveRequest archive_of(const std::string& stream) {
  v1::ArchiveRequest request;
  request.set_stream(stream);
  return request;
}

TEST(SqliteStore, TheArchiveIsThereAfterReopeningAndLeftoversAreNot) {
  SqliteBackend backend;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(backend.commit(Commit().append("s", "x")).ok());
  ASSERT_TRUE(backend.archive(archive_of("s")).ok());
  // As a crash leaves it between the file and the commit.
  const std::string name = segment_name(std::string(32, '\x11'));
  ASSERT_TRUE(backend.files().write(name, "half").ok());
  tamper(backend.path(), "INSERT INTO segment_garbage VALUES(x'" + std::string(64, '1') + "')");
  ASSERT_TRUE(backend.files().write("strangers.txt", "not ours").ok());
  backend.reopen();
  ASSERT_TRUE(backend.maintain({}).ok());
  EXPECT_FALSE(backend.files().read(name).ok());
  EXPECT_TRUE(backend.files().read("strangers.txt").ok());
  EXPECT_EQ(backend.read(read("s"))->records_size(), 6);
  EXPECT_TRUE(backend.verify("s")->ok());
  EXPECT_TRUE(backend.commit(Commit().append("s", "x", 6)).ok());
}

TEST(SegmentFiles, WhatIsNoFileOfTheArchiveIsNeitherWaitedForNorFollowed) {
  sqlite::TestDirectory directory;
  DirectorySegmentFiles files(directory.path());
  EXPECT_EQ(files.read("none").status().code(), Code::kNotFound);
  // Nobody writes into it: to open it for reading would block for ever.
  ASSERT_EQ(::mkfifo((directory.path() + "/pipe").c_str(), 0600), 0);
  ASSERT_TRUE(files.write("target", "bytes").ok());
  ASSERT_EQ(::symlink("target", (directory.path() + "/link").c_str()), 0);
  ASSERT_EQ(::mkdir((directory.path() + "/folder").c_str(), 0700), 0);
  for (const char* name : {"pipe", "link", "folder"}) {
    EXPECT_EQ(files.read(name).status().code(), Code::kDataLoss) << name;
  }
  ASSERT_EQ(::mkfifo((directory.path() + "/new.part").c_str(), 0600), 0);
  EXPECT_FALSE(files.write("new", "bytes").ok());
}

TEST(SqliteStore, VacuumShrinksTheFileWhileAWriterCommits) {
  SqliteBackend backend;
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(backend.commit(Commit().append("s", std::string(1u << 20, 'x'))).ok());
  }
  v1::ArchiveRequest request = archive_of("s");
  request.set_up_to_seq(8);
  for (bool more = true; more;) {
    const auto archived = backend.archive(request);
    ASSERT_TRUE(archived.ok()) << archived.status().to_string();
    more = archived->more();
  }
  const auto full = backend.maintain({});
  EXPECT_TRUE(full->incremental());
  EXPECT_GT(full->free_pages(), 1500u);
  std::atomic<bool> stop{false};
  std::atomic<int> failures{0};
  std::thread writer([&] {
    while (!stop) {
      if (!backend.commit(Commit().append("live", "x")).ok()) ++failures;
    }
  });
  v1::MaintainRequest vacuum;
  vacuum.set_vacuum_pages(64);
  uint64_t given_back = 0;
  for (int i = 0; i < 200; ++i) {
    const auto step = backend.maintain(vacuum);
    ASSERT_TRUE(step.ok()) << step.status().to_string();
    given_back += step->vacuumed_pages();
    if (step->free_pages() == 0) break;
  }
  stop = true;
  writer.join();
  EXPECT_EQ(failures, 0);
  EXPECT_GT(given_back, 1500u);
  backend.reopen();
  EXPECT_LT(std::filesystem::file_size(backend.path()), 3u << 20);
  EXPECT_TRUE(backend.verify("s")->ok());
  EXPECT_TRUE(backend.verify("live")->ok());
}

TEST(SqliteStore, EverythingIsThereAfterReopening) {
  SqliteBackend backend;
  ASSERT_TRUE(backend.declare(declare("c", {{"at", v1::INDEX_KIND_UNIQUE}}, true)).ok());
  const auto before = backend.commit(
      Commit().append("s", "one").put("c", "k", "v", {{"at", "1"}}).take("l", "me", 1000));
  ASSERT_TRUE(before.ok()) << before.status().to_string();
  backend.reopen();
  EXPECT_EQ(backend.read(read("s"))->records(0).payload(), "one");
  EXPECT_EQ(backend.get("c", "k")->document().value(), "v");
  EXPECT_EQ(keys(*backend.query(query("c", "at"))), std::vector<std::string>{"k"});
  EXPECT_EQ(backend.commit(Commit().put("c", "k", "w")).status().code(), Code::kFailedPrecondition)
      << "still audited";
  EXPECT_EQ(backend.commit(Commit().take("l", "you", 1)).status().code(), Code::kAborted);
  const auto after = backend.commit(Commit().append("s", "two", 1));
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->position(), 2u);
  EXPECT_TRUE(backend.verify("s")->ok());
}

// A store as the first release made it, with one indexed document.
constexpr char kFirstSchema[] = R"(
CREATE TABLE stream(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE record(position INTEGER PRIMARY KEY, stream INTEGER NOT NULL, seq INTEGER NOT NULL,
  type TEXT NOT NULL, wall_time_ns INTEGER NOT NULL, payload_digest BLOB NOT NULL,
  prev_hash BLOB NOT NULL, hash BLOB NOT NULL);
CREATE UNIQUE INDEX record_by_stream ON record(stream, seq);
CREATE TABLE payload(position INTEGER PRIMARY KEY, salt BLOB NOT NULL, data BLOB NOT NULL);
CREATE TABLE document(id INTEGER PRIMARY KEY, collection TEXT NOT NULL, key BLOB NOT NULL,
  version INTEGER NOT NULL, value BLOB NOT NULL, UNIQUE(collection, key));
CREATE TABLE index_entry(index_id INTEGER NOT NULL, value BLOB NOT NULL, key BLOB NOT NULL,
  document INTEGER NOT NULL, PRIMARY KEY(index_id, value, key)) WITHOUT ROWID;
CREATE INDEX index_entry_by_document ON index_entry(document);
CREATE TABLE collection(name TEXT PRIMARY KEY, audited INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE collection_index(id INTEGER PRIMARY KEY, collection TEXT NOT NULL, name TEXT NOT NULL,
  kind INTEGER NOT NULL, UNIQUE(collection, name));
CREATE TABLE lease(name TEXT PRIMARY KEY, token INTEGER NOT NULL, owner TEXT NOT NULL,
  expires_wall_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE blob(digest BLOB PRIMARY KEY, upload INTEGER NOT NULL, size INTEGER NOT NULL,
  created_wall_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE blob_part(upload INTEGER NOT NULL, start INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY(upload, start));
CREATE TABLE upload(id INTEGER PRIMARY KEY);
INSERT INTO collection VALUES('c', 0);
INSERT INTO collection_index VALUES(1, 'c', 'at', 1), (2, 'c', 'only', 2);
INSERT INTO document VALUES(7, 'c', CAST('k' AS BLOB), 3, CAST('v' AS BLOB)),
  (8, 'c', CAST('bare' AS BLOB), 1, x'');
INSERT INTO index_entry VALUES(1, CAST('early' AS BLOB), CAST('k' AS BLOB), 7),
  (2, x'00ff', CAST('k' AS BLOB), 7);
PRAGMA application_id=1347180882; PRAGMA user_version=1;
)";

TEST(SqliteStore, AStoreOfTheFirstReleaseIsBroughtForwardWithItsIndexes) {
  sqlite::TestDirectory directory;
  tamper(directory.store(), kFirstSchema);
  SqliteBackend backend(directory.store());
  EXPECT_EQ(backend.get("c", "k")->document().value(), "v");
  EXPECT_EQ(keys(*backend.query(query("c", "at"))), std::vector<std::string>{"k"});
  // The old entries are known: they go when the document changes.
  ASSERT_TRUE(backend.commit(Commit().put("c", "k", "w", {{"at", "late"}}, 3)).ok());
  v1::QueryRequest early = query("c", "at");
  early.set_to("f");
  EXPECT_TRUE(keys(*backend.query(early)).empty());
  EXPECT_EQ(keys(*backend.query(query("c", "at"))), std::vector<std::string>{"k"});
  EXPECT_TRUE(
      backend.commit(Commit().put("c", "bare", "", {{"only", std::string("\0\xff", 2)}})).ok())
      << "the unique value was given up";
  ASSERT_TRUE(backend.commit(Commit().remove("c", "k").remove("c", "bare")).ok());
  EXPECT_TRUE(keys(*backend.query(query("c", "at"))).empty());
  EXPECT_TRUE(keys(*backend.query(query("c", "only"))).empty());
}

TEST(SqliteStore, ANewStoreIsNotBegunWhereOneWasLost) {
  for (const std::string suffix : {"-wal", ".checked"}) {
    SqliteBackend backend;
    backend.close();
    std::filesystem::resize_file(backend.path(), 0);
    std::filesystem::remove(backend.path() + "-wal");
    const std::string left = backend.path() + suffix;
    ASSERT_TRUE(files::write(left, "what is left").ok());
    const auto lost = SqliteStore::open({.path = backend.path()}, backend.clock, backend.random);
    EXPECT_EQ(lost.status().code(), Code::kFailedPrecondition);
    EXPECT_THAT(lost.status().message(), testing::HasSubstr(left));
    std::filesystem::remove(left);
    backend.open();
  }
}

TEST(SqliteStore, AnUploadThatWasCutOffLeavesNothing) {
  SqliteBackend backend;
  const std::string name = digest::sha256("whole");
  ASSERT_TRUE(backend.put_blob(blob_part(name, 0, "wh", false)).ok());
  backend.reopen();
  EXPECT_EQ(backend.put_blob(blob_part(name, 2, "ole", true)).status().code(),
            Code::kFailedPrecondition);
  ASSERT_TRUE(backend.put_blob(blob_part(name, 0, "whole", true)).ok());
  v1::GetBlobRequest get;
  get.set_digest(name);
  EXPECT_EQ(backend.get_blob(get)->data(), "whole");
}

TEST(SqliteStore, ManyThreadsWriteReadAndWatchAtOnce) {
  SqliteBackend backend;
  constexpr int kThreads = 4;
  constexpr int kEach = 100;
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t seen = 0;
  bool in_order = true;
  const auto watch = backend.store().watch({}, {[&](v1::WatchItem item) {
                                                  const std::lock_guard lock(mutex);
                                                  for (const v1::Record& record : item.records()) {
                                                    in_order =
                                                        in_order && record.position() == ++seen;
                                                  }
                                                  changed.notify_all();
                                                },
                                                [](Status) {}});
  watch->grant(1'000'000);
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const std::string stream = "t/" + std::to_string(t);
      for (uint64_t i = 0; i < kEach; ++i) {
        const auto done = backend.commit(Commit().append(stream, "x", i).put("c", stream, "v"));
        const auto found = backend.read(read(stream));
        if (!done.ok() || !found.ok() || found->head_seq() != i + 1) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  std::unique_lock lock(mutex);
  EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(60),
                               [&] { return seen == uint64_t{kThreads * kEach}; }));
  EXPECT_TRUE(in_order);
}

TEST(SqliteStore, CommitsThatCrowdShareSyncs) {
  SqliteBackend backend;
  std::atomic<int> left{500};
  std::promise<void> all;
  for (int i = 0; i < 500; ++i) {
    backend.store().commit(Commit().append("s", "x"), [&](Result<v1::CommitResponse> result) {
      EXPECT_TRUE(result.ok());
      if (--left == 0) all.set_value();
    });
  }
  all.get_future().wait();
  const auto info = backend.info();
  EXPECT_EQ(info->commits(), 500u);
  EXPECT_LT(info->syncs(), 400u);
}

// A commit whose completion holds the writer until open() is called.
class HeldWriter {
 public:
  explicit HeldWriter(Store& store) {
    store.commit(Commit().append("held", "x"), [this](Result<v1::CommitResponse>) {
      entered_.set_value();
      opened_.get_future().wait();
    });
    entered_.get_future().wait();
  }
  void open() { opened_.set_value(); }

 private:
  std::promise<void> entered_;
  std::promise<void> opened_;
};

TEST(SqliteStore, WhatWaitsForTheDiskIsBoundedAndSaysSo) {
  SqliteBackend backend;
  backend.reopen({.writes = 3, .bytes = 1u << 20});
  HeldWriter writer(backend.store());
  std::vector<std::future<Code>> answers;
  const auto commit = [&](size_t bytes) {
    auto answer = std::make_shared<std::promise<Code>>();
    answers.push_back(answer->get_future());
    backend.store().commit(
        Commit().append("s", std::string(bytes, 'x')), [answer](Result<v1::CommitResponse> result) {
          EXPECT_TRUE(result.ok() || result.status().retryable()) << result.status().to_string();
          answer->set_value(result.status().code());
        });
  };
  commit(600'000);
  commit(600'000);  // more bytes than may wait
  commit(10);
  commit(10);
  commit(10);  // more writes than may wait
  EXPECT_EQ(answers[1].get(), Code::kResourceExhausted);
  EXPECT_EQ(answers[4].get(), Code::kResourceExhausted);
  writer.open();
  EXPECT_EQ(answers[0].get(), Code::kOk);
  EXPECT_EQ(answers[2].get(), Code::kOk);
  EXPECT_EQ(answers[3].get(), Code::kOk);
  commit(2u << 20);  // alone, whatever its size
  EXPECT_EQ(answers[5].get(), Code::kOk);
  EXPECT_EQ(backend.read(read("s"))->head_seq(), 4u) << "what was refused changed nothing";
}

TEST(SqliteStore, ReadsThatDoNotEndHoldNoCommitUp) {
  SqliteBackend backend;
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(backend.commit(Commit().append("s", "old")).ok());
  // Somebody in the middle of a scan, as a check of the whole store or a backup is for minutes.
  sqlite3* scanner = nullptr;
  ASSERT_EQ(sqlite3_open(backend.path().c_str(), &scanner), SQLITE_OK);
  sqlite3_stmt* scan = nullptr;
  ASSERT_EQ(sqlite3_prepare_v2(scanner, "SELECT position FROM record", -1, &scan, nullptr),
            SQLITE_OK);
  ASSERT_EQ(sqlite3_step(scan), SQLITE_ROW);
  // And all the store's own readers are busy until the commits are done.
  std::promise<void> committed;
  const std::shared_future<void> done = committed.get_future().share();
  std::atomic<int> reads{0};
  for (int i = 0; i < 4; ++i) {
    backend.store().read(read("s"), [&reads, done](Result<v1::ReadResponse>) {
      done.wait();
      ++reads;
    });
  }
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(backend.commit(Commit().append("s", std::string(1u << 20, 'x'))).ok());
  }
  EXPECT_EQ(reads, 0);
  committed.set_value();
  int seen = 1;
  while (sqlite3_step(scan) == SQLITE_ROW) ++seen;
  EXPECT_EQ(seen, 10) << "the scan sees the store as it was when it began";
  sqlite3_finalize(scan);
  sqlite3_close(scanner);
  EXPECT_EQ(backend.read(read("s", 0, 1, true))->head_seq(), 30u);
}

class NoWrite : public sqlite::Write {
  Status run() override { return {}; }
  void complete(const Status&) override {}
};

TEST(WriteQueue, AnIdleWriteGoesAtOnceAndACrowdIsWaitedFor) {
  sqlite::WriteQueue queue(16, {});
  const auto push = [&](int count) {
    for (int i = 0; i < count; ++i) {
      std::unique_ptr<sqlite::Write> write = std::make_unique<NoWrite>();
      ASSERT_EQ(queue.push(write), sqlite::WriteQueue::Push::kTaken);
    }
  };
  EXPECT_EQ(queue.expected(), 1u);
  push(1);
  EXPECT_EQ(queue.take().size(), 1u);
  EXPECT_EQ(queue.expected(), 1u) << "one at a time: each goes alone, without waiting";
  push(12);
  EXPECT_EQ(queue.take().size(), 12u);
  EXPECT_EQ(queue.expected(), 12u) << "as many are expected again";
  push(20);
  EXPECT_EQ(queue.take().size(), 16u);
  EXPECT_EQ(queue.expected(), 16u);
  EXPECT_EQ(queue.take().size(), 4u) << "what has not come in time is not waited for";
  EXPECT_EQ(queue.expected(), 4u);
}

TEST(SqliteStore, TheLogIsCheckpointedBesideTheWriter) {
  SqliteBackend backend;
  // About 40 MiB through a log of 8 MiB.
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(backend.commit(Commit().append("s", std::string(1u << 20, 'x'))).ok());
  }
  EXPECT_GT(std::filesystem::file_size(backend.path()), 4u << 20);
  EXPECT_TRUE(backend.verify("s")->ok());
}

TEST(SqliteStore, WhatWaitsIsCompletedWhenTheStoreCloses) {
  std::atomic<int> completed{0};
  {
    SqliteBackend backend;
    for (int i = 0; i < 50; ++i) {
      backend.store().commit(Commit().append("s", "x"),
                             [&](Result<v1::CommitResponse>) { ++completed; });
      backend.store().read(read("s"), [&](Result<v1::ReadResponse>) { ++completed; });
    }
  }
  EXPECT_EQ(completed, 100);
}

}  // namespace
}  // namespace palyra::journal::contract
