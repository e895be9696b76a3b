// Restores to a point in time, compared with what was written.
#include "plugins/journal/backup/disk_keeper.h"
#include "plugins/journal/backup/testing.h"
#include "plugins/journal/sqlite/wal_archive.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace palyra::journal::backup {
namespace {

using contract::Commit;

// The store after one commit.
struct Moment {
  uint64_t position;
  int64_t wall_ns;
  std::string last;  // document last/s
  uint64_t counter;  // version of a document that changes without a record
};

class PointInTimeTest : public testing::Test {
 protected:
  PointInTimeTest() { clock_now_ = store_.clock.wall_now(); }

  void open() {
    const Status status = store_.open();
    ASSERT_TRUE(status.ok()) << status.to_string();
    store_.clock.advance(clock_now_ - store_.clock.wall_now());
  }
  // `mib` through the log, in commits of up to 64 KiB; some change only a document.
  void write(int mib) {
    for (uint64_t written = 0; written < uint64_t(mib) << 20;) {
      store_.clock.advance(static_cast<int64_t>(1 + engine_() % 1000) * 1'000'000);
      if (!moments_.empty() && engine_() % 5 == 0) {
        count();
        continue;
      }
      const std::string text = std::to_string(engine_()) + std::string(engine_() % 65536, 'x');
      Commit commit;
      commit.append("s", text).put("last", "s", text);
      if (engine_() % 2 == 0) commit.append("other", "y");
      const auto done = store_.commit(commit);
      ASSERT_TRUE(done.ok()) << done.status().to_string();
      const uint64_t counter = moments_.empty() ? 0 : moments_.back().counter;
      moments_.push_back({done->position(), store_.clock.wall_now(), text, counter});
      written += text.size() * 2;
    }
    clock_now_ = store_.clock.wall_now();
  }
  // A change without a record.
  void count() {
    const auto done = store_.commit(Commit().put("last", "counter", "x"));
    ASSERT_TRUE(done.ok()) << done.status().to_string();
    moments_.back().counter = done->versions(0);
  }
  // When a checkpoint is through, and the next commit begins the log anew, is up to the disk. Small
  // commits wait for it as the checkpoint does, so that a busy one is given its time.
  void write_until(const std::function<bool()>& done) {
    for (int mib = 0; mib < kMostMib && !done(); ++mib) {
      write(1);
      for (int i = 0; i < 4 * mib && !done(); ++i) count();
    }
    ASSERT_TRUE(done()) << "not after " << kMostMib << " MiB";
  }
  // Names the life of the log: another one after it began anew.
  // A life of the store without the archive, long enough for the log to begin anew.
  void live_without_archive() {
    DiskStore without(path_);
    ASSERT_TRUE(without.open().ok());
    const std::string begun = log_salt();
    for (int i = 0; i < 2 * kMostMib && log_salt() == begun; ++i) {
      ASSERT_TRUE(without.commit(Commit().append("s", std::string(500'000, 'x'))).ok());
    }
    ASSERT_NE(log_salt(), begun);
  }
  std::string log_salt() const {
    std::string bytes(sqlite::kWalHeader, '\0');
    std::ifstream(path_ + "-wal", std::ios::binary)
        .read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    const auto header = sqlite::parse_wal_header(bytes);
    return header ? header->salt : "";
  }
  size_t segments() const { return sqlite::list_segments(archive_)->size(); }
  Manifest create(const std::string& name) {
    const auto made = backup::create({path_, backups_, name, store_.clock.wall_now() / 1'000'000});
    EXPECT_TRUE(made.ok()) << made.status().to_string();
    return made.ok() ? *made : Manifest();
  }
  Result<Restored> restore(const std::string& name, const Target& target) {
    RestoreOptions options;
    options.store = directory_.path() + "/restored.sqlite";
    options.file = database_of(backups_, name);
    options.archive = archive_;
    options.target = target;
    options.force = true;
    options.wall_ns = store_.clock.wall_now();
    return backup::restore(options);
  }
  static Target at_position(uint64_t position) { return {Target::Kind::kPosition, position, 0}; }
  static Target at_time(int64_t wall_ns) { return {Target::Kind::kTime, 0, wall_ns}; }

  // The restored store is the one of that moment, no more and no less.
  void expect_moment(const Moment& moment) {
    DiskStore copy(directory_.path() + "/restored.sqlite");
    const Status opened = copy.open();
    ASSERT_TRUE(opened.ok()) << opened.to_string();
    EXPECT_EQ(copy.info()->position(), moment.position);
    EXPECT_TRUE(copy.last("s") == moment.last) << "at position " << moment.position;
    EXPECT_EQ(copy.get("last", "counter")->document().version(), moment.counter);
    for (const std::string stream : {"s", "other"}) EXPECT_TRUE(copy.verify(stream)->ok());
  }

  // Less than what may wait for an archive that cannot be written.
  static constexpr int kMostMib = 128;

  const uint64_t seed_ = std::random_device()();
  std::mt19937_64 engine_{seed_};
  sqlite::TestDirectory directory_;
  const std::string path_ = directory_.store();
  const std::string archive_ = directory_.path() + "/archive";
  const std::string backups_ = directory_.path() + "/backups";
  DiskStore store_{path_, archive_};
  int64_t clock_now_ = 0;
  std::vector<Moment> moments_;
};

TEST_F(PointInTimeTest, AnyMomentSinceTheBackupComesBackAsItWas) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  open();
  write(3);
  const Manifest base = create("base");
  const size_t first = moments_.size() - 1;
  write(10);
  store_.close();  // a restart in between
  open();
  write(8);
  write_until([this] { return segments() >= 3; });  // the log has begun anew some times
  store_.close();
  for (int i = 0; i < 4; ++i) {
    const size_t at = first + engine_() % (moments_.size() - first);
    const Moment& moment = moments_[at];
    SCOPED_TRACE("moment " + std::to_string(at) + " of " + std::to_string(moments_.size()));
    const bool by_time = i % 2 == 1;
    const auto restored =
        restore("base", by_time ? at_time(moment.wall_ns) : at_position(moment.position));
    ASSERT_TRUE(restored.ok()) << restored.status().to_string();
    EXPECT_EQ(restored->place.position, moment.position);
    expect_moment(moment);
  }
  // Logs that are older than the oldest backup go; the way from the backup stays.
  const auto pruned = prune(backups_, 1, archive_);
  ASSERT_TRUE(pruned.ok());
  EXPECT_EQ(pruned->logs, 0u) << "the backup was made in the first life of the log";
  // Everything, and nothing but the backup.
  ASSERT_TRUE(restore("base", {Target::Kind::kLatest, 0, 0}).ok());
  expect_moment(moments_.back());
  ASSERT_TRUE(restore("base", {}).ok());
  DiskStore copy(directory_.path() + "/restored.sqlite");
  ASSERT_TRUE(copy.open().ok());
  EXPECT_EQ(copy.info()->position(), base.position);
}

TEST_F(PointInTimeTest, ATargetOutsideIsRefusedWithThePossibleRange) {
  open();
  write(1);
  const Manifest base = create("base");
  write(1);
  store_.close();
  const std::string range = "from position " + std::to_string(base.position);
  const std::string end = "to position " + std::to_string(moments_.back().position);
  for (const Target& target :
       {at_position(base.position - 1), at_position(moments_.back().position + 100),
        at_time(moments_.front().wall_ns), at_time(moments_.back().wall_ns + 1'000'000)}) {
    const Status status = restore("base", target).status();
    EXPECT_EQ(status.code(), Code::kOutOfRange) << status.to_string();
    EXPECT_NE(status.message().find(range), std::string::npos) << status.to_string();
  }
  const Status beyond = restore("base", at_position(1'000'000)).status();
  EXPECT_NE(beyond.message().find(end), std::string::npos) << beyond.to_string();
  EXPECT_FALSE(files::exists(directory_.path() + "/restored.sqlite"));
}

TEST_F(PointInTimeTest, ARestoreIsNeverOlderThanItsBackup) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  open();
  write(1);
  store_.close();  // the archive follows up to here
  open();
  const uint64_t archived = moments_.back().position;
  write(1);  // less than what makes a checkpoint
  const Manifest base = create("base");
  ASSERT_GT(base.position, archived);
  // The disk is lost now: the archive knows half of what the backup has.
  auto restored = restore("base", {Target::Kind::kLatest, 0, 0});
  ASSERT_TRUE(restored.ok()) << restored.status().to_string();
  expect_moment(moments_.back());
  EXPECT_NE(restored->lacks.find("ends before this backup"), std::string::npos) << restored->lacks;
  restored = restore("base", at_position(base.position));
  ASSERT_TRUE(restored.ok()) << restored.status().to_string();
  EXPECT_EQ(restored->lacks, "");
  expect_moment(moments_.back());
  EXPECT_EQ(restore("base", at_position(base.position + 1)).status().code(), Code::kOutOfRange);

  // As the daemon makes one: the archive is as far as the backup.
  DiskKeeper keeper({.store = path_, .directory = backups_, .archive = archive_}, store_.clock,
                    store_.store().archive());
  v1::BackupRequest request;
  request.set_name("kept");
  ASSERT_TRUE(keeper.backup(request).ok());
  while (keeper.check({})->backup().running()) std::this_thread::yield();
  EXPECT_EQ(keeper.check({})->backup().error(), "");
  for (const std::string name : {"base", "kept"}) {
    restored = restore(name, {Target::Kind::kLatest, 0, 0});
    ASSERT_TRUE(restored.ok()) << restored.status().to_string();
    EXPECT_EQ(restored->lacks, "");
    expect_moment(moments_.back());
  }
  // Each moment after the backup, and none before, whatever half a log has done to younger pages.
  const size_t first = moments_.size() - 1;
  write(1);
  store_.close();
  for (size_t at = first; at < moments_.size(); at += 5) {
    restored = restore("kept", at_position(moments_[at].position));
    ASSERT_TRUE(restored.ok()) << restored.status().to_string();
    EXPECT_EQ(restored->place.position, moments_[at].position);
  }
}

TEST_F(PointInTimeTest, ABackupThatTheArchiveCouldNotFollowSaysSo) {
  open();
  std::filesystem::rename(archive_, archive_ + ".hidden");
  std::ofstream(archive_) << "in the way";
  write_until([this] { return !store_.store().archive()->problem().empty(); });
  DiskKeeper keeper({.store = path_, .directory = backups_, .archive = archive_}, store_.clock,
                    store_.store().archive());
  v1::BackupRequest request;
  request.set_name("alone");
  ASSERT_TRUE(keeper.backup(request).ok());
  v1::CheckRequest ask;
  ask.set_progress_only(true);
  while (keeper.check(ask)->backup().running()) std::this_thread::yield();
  const v1::BackupProgress made = keeper.check(ask)->backup();
  EXPECT_EQ(made.error(), "");
  EXPECT_NE(made.note().find("could not be archived"), std::string::npos) << made.note();
  const auto restored = restore("alone", {});
  ASSERT_TRUE(restored.ok()) << restored.status().to_string();
  expect_moment(moments_.back());
}

TEST_F(PointInTimeTest, ATimeIsCutAsItIsShown) {
  open();
  store_.clock.advance(345);  // no whole millisecond
  write(1);
  create("base");
  // What verify prints, given back.
  const auto shown = time_target(utc(moments_.back().wall_ns));
  ASSERT_TRUE(shown.ok()) << shown.status().to_string();
  ASSERT_LT(shown->wall_ns, moments_.back().wall_ns);
  write(1);
  store_.close();
  ASSERT_TRUE(restore("base", *shown).ok());
  const auto end = restore("base", *time_target(utc(moments_.back().wall_ns)));
  ASSERT_TRUE(end.ok()) << end.status().to_string();
  expect_moment(moments_.back());
}

TEST_F(PointInTimeTest, AClockThatWasAheadIsForgottenAndPositionsHelpBefore) {
  constexpr int64_t kYear = 365 * 24 * 3600 * kNanosPerSecond;
  open();
  store_.clock.advance(kYear);
  ASSERT_TRUE(store_.commit(Commit().append("s", "from the future")).ok());
  store_.clock.advance(-kYear);
  ASSERT_TRUE(store_.commit(Commit().append("s", "now")).ok());
  create("young");
  const Status ahead = restore("young", at_time(store_.clock.wall_now())).status();
  EXPECT_EQ(ahead.code(), Code::kOutOfRange);
  EXPECT_NE(ahead.message().find("--to-position"), std::string::npos) << ahead.to_string();
  for (int i = 0; i < 10; ++i) {
    Commit commit;
    for (int j = 0; j < 100; ++j) commit.append("s", "x");
    ASSERT_TRUE(store_.commit(commit).ok());
  }
  create("old");
  write(1);
  store_.close();
  const auto restored = restore("old", at_time(moments_.back().wall_ns));
  ASSERT_TRUE(restored.ok()) << restored.status().to_string();
  EXPECT_EQ(restored->place.position, moments_.back().position);
}

TEST(TargetTest, WhatIsNoTargetIsRefused) {
  EXPECT_EQ(position_target("67")->position, 67u);
  for (const std::string text :
       {"", "0", "-5", "+5", "5x", " 5", "18446744073709551616", "latest"}) {
    EXPECT_EQ(position_target(text).status().code(), Code::kInvalidArgument) << text;
  }
  EXPECT_EQ(time_target("2026-01-31T12:00:05.25Z")->wall_ns, 1'769'860'805'250'000'000);
  EXPECT_EQ(utc(time_target("2261-12-31T23:59:59Z")->wall_ns), "2261-12-31T23:59:59.000Z");
  for (const std::string text :
       {"", "Z", "yesterday", "2300-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
        "1969-12-31T23:59:59Z", "2026-02-30T00:00:00Z", "2026-01-31T12:00:05.Z",
        "2026-01-31T12:00:05.1234567890Z"}) {
    EXPECT_EQ(time_target(text).status().code(), Code::kInvalidArgument) << text;
  }
}

TEST_F(PointInTimeTest, WhatWasNotArchivedIsNotGuessed) {
  open();
  write(1);
  create("before");
  write(8);
  store_.close();
  const uint64_t end_of_first = moments_.back().position;
  live_without_archive();
  open();
  write(1);
  const Manifest after = create("after");
  write(1);
  store_.close();
  const Status behind = restore("before", at_position(moments_.back().position)).status();
  EXPECT_EQ(behind.code(), Code::kOutOfRange);
  EXPECT_NE(behind.message().find("has a gap after"), std::string::npos) << behind.to_string();
  const auto part = restore("before", {Target::Kind::kLatest, 0, 0});
  ASSERT_TRUE(part.ok()) << part.status().to_string();
  EXPECT_NE(part->lacks.find("later logs were not used"), std::string::npos) << part->lacks;
  ASSERT_TRUE(restore("before", at_position(end_of_first)).ok());
  ASSERT_TRUE(restore("after", at_position(moments_.back().position)).ok());
  EXPECT_GT(moments_.back().position, after.position);
  expect_moment(moments_.back());

  // Nobody needs the logs before the younger one once the older one is gone.
  ASSERT_GT(prune(backups_, 1, archive_)->logs, 0u);
  ASSERT_TRUE(restore("after", at_position(moments_.back().position)).ok());
}

TEST_F(PointInTimeTest, AGapIsToldUntilABackupIsMadeAfterIt) {
  using Kind = Target::Kind;
  open();
  write(1);
  create("b0");
  const auto gap = [&] {
    DiskKeeper keeper({.store = path_, .directory = backups_, .archive = archive_}, store_.clock,
                      store_.store().archive());
    return keeper.check({})->archive_problem();
  };
  EXPECT_EQ(gap(), "");
  // In three ways the log of a stopped store is lost to the archive.
  for (int way = 0; way < 3; ++way) {
    SCOPED_TRACE(way);
    const std::string newest = "b" + std::to_string(way);
    write(1);
    store_.close();
    if (way == 0) {
      // Whoever closes a store last removes its log.
      auto db = sqlite::Database::open(path_, false);
      ASSERT_TRUE((*db)->number("SELECT count(*) FROM record").ok());
    } else if (way == 1) {
      RestoreOptions options;
      options.store = path_;
      options.file = database_of(backups_, newest);
      options.force = true;
      options.wall_ns = store_.clock.wall_now();
      ASSERT_TRUE(backup::restore(options).ok());
    } else {
      live_without_archive();
    }
    open();
    write(1);
    EXPECT_NE(gap().find("so that the newest backup, " + newest), std::string::npos) << gap();
    store_.close();
    const auto part = restore(newest, {Kind::kLatest, 0, 0});
    ASSERT_TRUE(part.ok()) << part.status().to_string();
    EXPECT_NE(part->lacks.find("has a gap after"), std::string::npos) << part->lacks;
    open();
    EXPECT_NE(gap(), "") << "a restart forgets nothing";
    store_.clock.advance(kNanosPerSecond);
    create("b" + std::to_string(way + 1));
    EXPECT_EQ(gap(), "");
    write(1);
    store_.close();
    const auto all = restore("b" + std::to_string(way + 1), {Kind::kLatest, 0, 0});
    ASSERT_TRUE(all.ok()) << all.status().to_string();
    EXPECT_EQ(all->lacks, "");
    expect_moment(moments_.back());
    open();
  }
}

TEST_F(PointInTimeTest, WhatWasGivenUpIsMadeUpForWhileTheLogHoldsIt) {
  open();
  create("base");
  write(1);
  ASSERT_TRUE(store_.store().archive()->follow().ok());
  ASSERT_TRUE(files::exists(path_ + ".archived"));
  ASSERT_TRUE(store_.store().archive()->skip().ok());
  EXPECT_FALSE(files::exists(path_ + ".archived"));
  write(1);
  store_.close();
  EXPECT_TRUE(files::exists(path_ + ".archived"));
  EXPECT_EQ(segments(), 1u);
  const auto all = restore("base", {Target::Kind::kLatest, 0, 0});
  ASSERT_TRUE(all.ok()) << all.status().to_string();
  EXPECT_EQ(all->lacks, "");
  expect_moment(moments_.back());
}

TEST_F(PointInTimeTest, AnErasureAndARestartLeaveNoGap) {
  open();
  write(1);
  create("base");
  ASSERT_TRUE(store_.erase({"s", 1, 0, "asked to", "user:ann"}).ok());
  v1::MaintainRequest clear;
  clear.set_clear_log(true);
  ASSERT_TRUE(store_.maintain(clear).ok());
  store_.close();
  open();
  write(1);
  store_.close();
  const auto all = restore("base", {Target::Kind::kLatest, 0, 0});
  ASSERT_TRUE(all.ok()) << all.status().to_string();
  EXPECT_EQ(all->lacks, "");
  EXPECT_EQ(all->place.position, moments_.back().position);
}

TEST_F(PointInTimeTest, AnArchiveIsTouchedByItsOwnStoreOnly) {
  open();
  write(1);
  create("base");
  EXPECT_FALSE(DiskStore(path_).open().ok()) << "the store is in use";
  EXPECT_TRUE(files::exists(path_ + ".archived")) << "and its archive goes on";
  store_.close();
  // A store for practice is a copy, log and all, and goes on by itself.
  const std::string practice = directory_.path() + "/practice/journal.sqlite";
  std::filesystem::create_directory(directory_.path() + "/practice");
  for (const std::string file : {"", "-wal", ".archived"}) {
    std::filesystem::copy(path_ + file, practice + file);
  }
  const Status other = DiskStore(practice, archive_).open();
  EXPECT_EQ(other.code(), Code::kFailedPrecondition);
  EXPECT_NE(other.message().find("has the logs of the store " + path_), std::string::npos)
      << other.to_string();
  {
    DiskStore copy(practice);
    ASSERT_TRUE(copy.open().ok());
    ASSERT_TRUE(copy.commit(Commit().append("s", "in the copy only")).ok());
  }
  RestoreOptions options;
  options.store = practice;
  options.file = database_of(backups_, "base");
  options.archive = archive_;
  options.target.kind = Target::Kind::kLatest;
  options.force = true;
  options.wall_ns = store_.clock.wall_now();
  const auto restored = backup::restore(options);
  ASSERT_TRUE(restored.ok()) << restored.status().to_string();
  EXPECT_EQ(restored->place.position, moments_.back().position);
  open();
  write(1);
  store_.close();
  ASSERT_TRUE(restore("base", {Target::Kind::kLatest, 0, 0}).ok());
  expect_moment(moments_.back());
}

TEST_F(PointInTimeTest, ADamagedLogOfTheStoreTakesNothingFromTheArchive) {
  open();
  create("base");
  write(1);
  store_.close();
  std::fstream log(path_ + "-wal", std::ios::binary | std::ios::in | std::ios::out);
  log.seekp(sqlite::kWalHeader + sqlite::kWalFrameHeader + 100);
  log << "damaged";
  log.close();
  RestoreOptions options;
  options.store = path_;
  options.file = database_of(backups_, "base");
  options.archive = archive_;
  options.target.kind = Target::Kind::kLatest;
  options.force = true;
  options.wall_ns = store_.clock.wall_now();
  const auto restored = backup::restore(options);
  ASSERT_TRUE(restored.ok()) << restored.status().to_string();
  EXPECT_EQ(restored->place.position, moments_.back().position);
}

TEST_F(PointInTimeTest, ADamagedLogEndsTheWay) {
  open();
  create("before");
  write(8);
  const uint64_t end_of_first = moments_.back().position;
  // What follows says that the damaged one was longer; a last one may end anywhere.
  write_until([this] { return segments() >= 2; });
  store_.close();
  const auto segments = sqlite::list_segments(archive_);
  std::filesystem::resize_file(segments->front().path, 10'000);
  EXPECT_EQ(restore("before", at_position(end_of_first)).status().code(), Code::kDataLoss);
  std::filesystem::remove(segments->front().path);
  EXPECT_EQ(restore("before", at_position(end_of_first)).status().code(), Code::kNotFound);
}

TEST_F(PointInTimeTest, AnArchiveThatCannotBeWrittenStopsNoCommitAndLosesNoFrame) {
  open();
  write(1);
  create("base");
  // The directory is a file now: no segment can be begun, and the open one goes on.
  const std::string hidden = archive_ + ".hidden";
  std::filesystem::rename(archive_, hidden);
  std::ofstream(archive_) << "in the way";
  write_until([this] { return !store_.store().archive()->problem().empty(); });
  std::filesystem::remove(archive_);
  std::filesystem::rename(hidden, archive_);
  write_until([this] { return store_.store().archive()->problem().empty(); });
  store_.close();
  const auto restored = restore("base", {Target::Kind::kLatest, 0, 0});
  ASSERT_TRUE(restored.ok()) << restored.status().to_string();
  expect_moment(moments_.back());
}

TEST_F(PointInTimeTest, ACrashWhileALogIsBegunInTheArchiveLeavesNoGap) {
  open();
  create("base");
  write(1);
  store_.close();
  // Made, and nothing written into it.
  const auto segments = sqlite::list_segments(archive_);
  ASSERT_FALSE(segments->empty());
  char name[32];
  std::snprintf(name, sizeof name, "/%010llu.wal",
                static_cast<unsigned long long>(segments->back().number + 1));
  std::ofstream(archive_ + name).flush();
  open();
  const std::string salt = log_salt();
  write_until([this, salt] { return log_salt() != salt; });
  write(1);
  store_.close();
  const auto restored = restore("base", {Target::Kind::kLatest, 0, 0});
  ASSERT_TRUE(restored.ok()) << restored.status().to_string();
  expect_moment(moments_.back());
}

TEST_F(PointInTimeTest, KilledAnywhereTheArchiveHoldsWhatTheStoreHolds) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  open();
  create("base");
  store_.close();
  const char* const writer = std::getenv("PALYRA_JOURNAL_WRITER");
  for (int round = 0; round < 4; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const std::string seed = std::to_string(seed_ + static_cast<uint64_t>(round));
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::execl(writer, writer, path_.c_str(), seed.c_str(), archive_.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    const uint64_t lines = 200 + engine_() % 1500;
    char byte = 0;
    for (uint64_t seen = 0; seen < lines && ::read(ends[0], &byte, 1) == 1;) seen += byte == '\n';
    ::kill(child, SIGKILL);
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
  }
  open();
  const uint64_t position = store_.info()->position();
  ASSERT_GT(position, 1000u) << "the writer did write";
  std::map<std::string, std::string> last;
  for (int i = 0; i < 8; ++i) {
    const std::string stream = "s/" + std::to_string(i);
    last[stream] = store_.last(stream);
  }
  store_.close();
  const auto restored = restore("base", {Target::Kind::kLatest, 0, 0});
  ASSERT_TRUE(restored.ok()) << restored.status().to_string();
  EXPECT_EQ(restored->place.position, position);
  DiskStore copy(directory_.path() + "/restored.sqlite");
  ASSERT_TRUE(copy.open().ok());
  for (const auto& [stream, text] : last) EXPECT_TRUE(copy.last(stream) == text) << stream;
}

}  // namespace
}  // namespace palyra::journal::backup
