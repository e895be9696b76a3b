// P10, P12: what a long past costs.
#include "bench/clock.h"
#include "bench/row.h"
#include "bench/run_client.h"
#include "bench/tape_loader.h"
#include "tests/e2e/daemon.h"

#include <sqlite3.h>

#include <chrono>
#include <stdexcept>
#include <thread>

namespace palyra::bench {

namespace {

// One turn fills the model's window, so that what is in the context is alike however long the
// session is, and no tools, so that the window is all text.
e2e::DaemonOptions small_window() {
  e2e::DaemonOptions options = unhindered();
  options.embedded = "context_window = 1000\n";
  options.gateway += "[gateway.agents.brief]\ntools = [\"none\"]\n";
  return options;
}

constexpr char kTurn[] = "/deltas 40 64";  // about 730 tokens

std::vector<Row> growth() {
  e2e::Daemon daemon(small_window());
  start(daemon);
  const RunEnds made = run_once(daemon, kTurn, "", "brief");
  daemon.stop();
  TapeLoader loader(daemon.state_dir(), made.session_id, made.run_id);
  struct Case {
    const char* events;
    int runs;
    std::string session;
    double cold_us = 0;
    Samples warm;
  };
  Case cases[] = {{"10", 1, {}, 0, {}}, {"10 k", 1000, {}, 0, {}}, {"1 M", 100'000, {}, 0, {}}};
  for (Case& one : cases) one.session = loader.long_session(one.runs);
  start(daemon);
  run_once(daemon, kTurn, "", "brief");  // the daemon's own first time
  for (Case& one : cases) {
    one.cold_us = run_once(daemon, kTurn, one.session, "brief").first_token_seconds * 1e6;
  }
  // In turns, so that what else the machine does meets all alike.
  const Stopwatch all;
  while (all.seconds() < measuring_seconds()) {
    for (Case& one : cases) {
      one.warm.add(run_once(daemon, kTurn, one.session, "brief").first_token_seconds * 1e6);
    }
  }
  std::vector<Row> rows;
  for (const Case& one : cases) {
    Row row;
    row.id = "P10";
    row.name = std::string("run start, ") + one.events + " events in the session, p50";
    row.value = one.warm.at(0.5);
    row.unit = "us";
    row.limit = cases[0].warm.at(0.5);
    row.limit_name = "10 events";
    row.budget = 1.2;
    row.samples = one.warm;
    row.note =
        "to the first model token; one turn fills the window in each (the shortest is summarised "
        "in each run, a past without summaries as long as the others' in none); the first run "
        "after the daemon's start " +
        std::to_string(static_cast<int>(one.cold_us)) + " us";
    rows.push_back(std::move(row));
  }
  return rows;
}

// Records of this type, read beside the daemon.
class RecordCount {
 public:
  explicit RecordCount(const std::string& path) {
    if (sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READONLY, nullptr) != SQLITE_OK) {
      throw std::runtime_error("cannot read " + path);
    }
    sqlite3_busy_timeout(db_, 1000);
    sqlite3_prepare_v2(db_, "SELECT max(position) FROM record", -1, &last_, nullptr);
    sqlite3_prepare_v2(db_, "SELECT count(*) FROM record WHERE position>? AND type='run_resumed'",
                       -1, &count_, nullptr);
    sqlite3_step(last_);
    position_ = sqlite3_column_int64(last_, 0);
    sqlite3_reset(last_);
  }
  ~RecordCount() {
    sqlite3_finalize(last_);
    sqlite3_finalize(count_);
    sqlite3_close(db_);
  }
  // Resumed since this was made.
  int64_t resumed() {
    sqlite3_bind_int64(count_, 1, position_);
    sqlite3_step(count_);
    const int64_t count = sqlite3_column_int64(count_, 0);
    sqlite3_reset(count_);
    return count;
  }

 private:
  sqlite3* db_ = nullptr;
  sqlite3_stmt* last_ = nullptr;
  sqlite3_stmt* count_ = nullptr;
  int64_t position_ = 0;
};

std::vector<Row> recovery() {
  constexpr int kRuns = 10'000;
  e2e::Daemon daemon(unhindered());
  start(daemon);
  const RunEnds made = run_once(daemon, "/deltas 20 64", "", "");
  daemon.stop();
  TapeLoader(daemon.state_dir(), made.session_id, made.run_id).unfinished(kRuns);
  RecordCount count(daemon.state_dir() + "/journal/journal.sqlite");
  double ready_ms = 0;
  double hundred_ms = 0;
  double all_ms = 0;
  const Stopwatch watch;
  daemon.launch();
  std::thread waiting([&] {
    if (daemon.await_ready()) ready_ms = watch.seconds() * 1e3;
  });
  while (all_ms == 0 && watch.seconds() < 120) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const int64_t resumed = count.resumed();
    if (hundred_ms == 0 && resumed >= 100) hundred_ms = watch.seconds() * 1e3;
    if (resumed >= kRuns) all_ms = watch.seconds() * 1e3;
  }
  waiting.join();
  if (ready_ms == 0 || all_ms == 0)
    throw std::runtime_error("recovery did not end:\n" + daemon.log());
  const auto row = [](std::string name, double value, double budget) {
    Row out;
    out.id = "P12";
    out.name = std::move(name);
    out.value = value;
    out.unit = "ms";
    out.budget = budget;
    return out;
  };
  std::vector<Row> rows = {
      row("ready with 10 k unfinished runs on the tape, from exec", ready_ms, 2000),
      row("the first 100 of them resumed, from exec", hundred_ms, 500)};
  rows[0].note = "all resumed after " + std::to_string(static_cast<int>(all_ms)) + " ms";
  return rows;
}

}  // namespace

std::vector<Benchmark> growth_benchmarks() {
  return {{"P10", "run start latency with 10, 10 k and 1 M events in the session", growth},
          {"P12", "recovery with 10 k unfinished runs on the tape", recovery}};
}

}  // namespace palyra::bench
