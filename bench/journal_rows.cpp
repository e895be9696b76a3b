// P1, P2: the journal's store beside hand-written SQLite with the same rows, and beside one
// fdatasync.
#include "bench/clock.h"
#include "bench/limits.h"
#include "bench/row.h"
#include "plugins/journal/sqlite/store.h"
#include "plugins/journal/sqlite/system_world.h"
#include "tests/e2e/daemon.h"

#include <openssl/sha.h>
#include <sqlite3.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fcntl.h>
#include <mutex>
#include <stdexcept>
#include <unistd.h>

namespace palyra::bench {

namespace {

namespace v1 = palyra::service::v1;

constexpr int kAppenders = 64;
constexpr size_t kPayload = 256;

void check(int code, sqlite3* db) {
  if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW) {
    throw std::runtime_error(std::string("sqlite: ") + sqlite3_errmsg(db));
  }
}

// The limit: a loop that writes the rows the store writes, 64 records a transaction.
double handwritten_rate(const std::string& directory, double seconds) {
  sqlite3* db = nullptr;
  check(sqlite3_open((directory + "/limit.sqlite").c_str(), &db), db);
  check(sqlite3_exec(db,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                     "CREATE TABLE record(position INTEGER PRIMARY KEY, stream INTEGER NOT NULL,"
                     " seq INTEGER NOT NULL, type TEXT NOT NULL, wall_time_ns INTEGER NOT NULL,"
                     " payload_digest BLOB NOT NULL, prev_hash BLOB NOT NULL, hash BLOB NOT NULL);"
                     "CREATE UNIQUE INDEX record_by_stream ON record(stream, seq);"
                     "CREATE TABLE payload(position INTEGER PRIMARY KEY, salt BLOB NOT NULL,"
                     " data BLOB NOT NULL);",
                     nullptr, nullptr, nullptr),
        db);
  sqlite3_stmt* record = nullptr;
  sqlite3_stmt* payload = nullptr;
  check(sqlite3_prepare_v2(db, "INSERT INTO record VALUES(?,?,?,'bench',?,?,?,?)", -1, &record,
                           nullptr),
        db);
  check(sqlite3_prepare_v2(db, "INSERT INTO payload VALUES(?,?,?)", -1, &payload, nullptr), db);
  const std::string data(kPayload, 'x');
  unsigned char digest[32] = {};
  unsigned char hash[32] = {};
  unsigned char salt[16] = {};
  int64_t position = 0;
  const Stopwatch watch;
  while (watch.seconds() < seconds) {
    check(sqlite3_exec(db, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), db);
    for (int i = 0; i < kAppenders; ++i) {
      ++position;
      // Hashes of the same amount of data as a record has.
      SHA256(reinterpret_cast<const unsigned char*>(data.data()), data.size(), digest);
      SHA256(reinterpret_cast<const unsigned char*>(data.data()), 160, hash);
      sqlite3_bind_int64(record, 1, position);
      sqlite3_bind_int64(record, 2, i);
      sqlite3_bind_int64(record, 3, position / kAppenders);
      sqlite3_bind_int64(record, 4, position);
      sqlite3_bind_blob(record, 5, digest, sizeof digest, SQLITE_STATIC);
      sqlite3_bind_blob(record, 6, hash, sizeof hash, SQLITE_STATIC);
      sqlite3_bind_blob(record, 7, hash, sizeof hash, SQLITE_STATIC);
      check(sqlite3_step(record), db);
      sqlite3_reset(record);
      sqlite3_bind_int64(payload, 1, position);
      sqlite3_bind_blob(payload, 2, salt, sizeof salt, SQLITE_STATIC);
      sqlite3_bind_blob(payload, 3, data.data(), static_cast<int>(data.size()), SQLITE_STATIC);
      check(sqlite3_step(payload), db);
      sqlite3_reset(payload);
    }
    check(sqlite3_exec(db, "COMMIT", nullptr, nullptr, nullptr), db);
  }
  const double rate = static_cast<double>(position) / watch.seconds();
  sqlite3_finalize(record);
  sqlite3_finalize(payload);
  sqlite3_close(db);
  return rate;
}

v1::CommitRequest one_record(int stream) {
  v1::CommitRequest request;
  auto* append = request.add_appends();
  append->set_stream("bench/" + std::to_string(stream));
  auto* record = append->add_records();
  record->set_type("bench");
  record->set_payload(std::string(kPayload, 'x'));
  return request;
}

// Each appender has one commit in flight and starts the next from its completion.
class Appenders {
 public:
  explicit Appenders(journal::Store& store) : store_(store) {}

  double rate(double seconds) {
    until_ = seconds;
    open_ = kAppenders;
    for (int i = 0; i < kAppenders; ++i) next(i);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_ == 0; });
    if (!error_.empty()) throw std::runtime_error("a commit failed: " + error_);
    return static_cast<double>(count_.load()) / watch_.seconds();
  }

 private:
  void next(int stream) {
    store_.commit(one_record(stream), [this, stream](Result<v1::CommitResponse> result) {
      if (result.ok()) ++count_;
      if (result.ok() && watch_.seconds() < until_) return next(stream);
      std::lock_guard lock(mutex_);
      if (!result.ok()) error_ = result.status().message();
      --open_;
      changed_.notify_all();
    });
  }

  journal::Store& store_;
  const Stopwatch watch_;
  double until_ = 0;
  std::atomic<uint64_t> count_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  int open_ = 0;
  std::string error_;
};

std::unique_ptr<journal::SqliteStore> open_store(const std::string& directory,
                                                 journal::SystemWorld& world) {
  journal::SqliteOptions options;
  options.path = directory + "/journal.sqlite";
  auto store = journal::SqliteStore::open(options, world, world);
  if (!store.ok()) throw std::runtime_error(store.status().message());
  return std::move(*store);
}

std::vector<Row> group_commit() {
  e2e::TempDir directory;
  journal::SystemWorld world;
  const double limit = handwritten_rate(directory.path(), measuring_seconds());
  auto store = open_store(directory.path(), world);
  Row row;
  row.id = "P1";
  row.name = "journal: durable appends, 256 B, 64 at once";
  row.value = Appenders(*store).rate(measuring_seconds());
  row.unit = "appends/s";
  row.limit = limit;
  row.limit_name = "hand-written SQLite, same rows, 64 a commit";
  row.budget = 0.8;
  row.higher_is_better = true;
  return {std::move(row)};
}

std::vector<Row> idle_commit() {
  e2e::TempDir directory;
  journal::SystemWorld world;
  const Samples sync = fdatasync_seconds(directory.path(), measuring_seconds() / 2);
  auto store = open_store(directory.path(), world);
  Samples micros;
  std::mutex mutex;
  std::condition_variable changed;
  const Stopwatch all;
  while (all.seconds() < measuring_seconds()) {
    bool done = false;
    const Stopwatch one;
    store->commit(one_record(1), [&](Result<v1::CommitResponse>) {
      std::lock_guard lock(mutex);
      done = true;
      changed.notify_one();
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done; });
    micros.add(one.seconds() * 1e6);
  }
  Row row;
  row.id = "P2";
  row.name = "journal: one durable append when idle, p50";
  row.value = micros.at(0.5);
  row.unit = "us";
  row.limit = sync.at(0.5) * 1e6;
  row.limit_name = "one fdatasync";
  row.budget = 1.5;
  row.samples = std::move(micros);
  return {std::move(row)};
}

}  // namespace

std::vector<Benchmark> journal_benchmarks() {
  return {{"P1", "journal: durable group-commit appends a second", group_commit},
          {"P2", "journal: latency of one durable append when idle", idle_commit}};
}

}  // namespace palyra::bench
