// The keeper: backups and checks beside those who use the store.
#include "plugins/journal/backup/disk_keeper.h"
#include "plugins/journal/backup/testing.h"

#include <fstream>
#include <future>
#include <mutex>

namespace palyra::journal::backup {
namespace {

TEST_F(BackupTest, TheKeeperMakesThemOneAtATimeAndTellsHowItGoes) {
  write_some(60, 50'000);
  contract::ManualClock clock;
  DiskKeeper keeper({.store = store_path_, .directory = backups_, .archive = "", .keep = 2}, clock,
                    nullptr);
  const auto wait = [&] {
    v1::CheckRequest ask;
    ask.set_progress_only(true);
    while (keeper.check(ask)->backup().running()) std::this_thread::yield();
    return keeper.check({})->backup().error();
  };
  v1::BackupRequest request;
  for (const std::string name : {"one", "two", "three"}) {
    request.set_name(name);
    clock.advance(kNanosPerSecond);
    ASSERT_TRUE(keeper.backup(request).ok());
    const Status second = keeper.backup({}).status();
    EXPECT_TRUE(second.ok() || second.code() == Code::kFailedPrecondition) << second.to_string();
    EXPECT_EQ(wait(), "");
  }
  request.set_name("../x");
  EXPECT_EQ(keeper.backup(request).status().code(), Code::kInvalidArgument);
  request.set_name("three");
  EXPECT_EQ(keeper.backup(request).status().code(), Code::kAlreadyExists);
  EXPECT_LE(keeper.check({})->backups_size(), 2);
  EXPECT_TRUE(verify(file("three")).ok());
  EXPECT_EQ(keeper.check({})->directory(), backups_);
}

TEST_F(BackupTest, TheCheckBesideTheUsersFindsWhatTheStartDidNotLookAt) {
  write_some(60, 100'000);
  store_.close();
  run_sql(store_path_, "UPDATE payload SET data=CAST('forged' AS BLOB) WHERE position=2");
  ASSERT_TRUE(store_.open().ok()) << "only the newest records are looked at";
  contract::ManualClock clock;
  const KeeperOptions options{.store = store_path_, .directory = backups_};
  std::mutex mutex;
  std::condition_variable changed;
  std::string heard;
  const auto run = [&](DiskKeeper& keeper) {
    heard.clear();
    keeper.begin_check([&](bool damaged, const std::string& sentence) {
      const std::lock_guard lock(mutex);
      heard = (damaged ? "damaged: " : "fine: ") + sentence;
      changed.notify_one();
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return !heard.empty(); });
    return keeper.check({})->check();
  };
  {
    DiskKeeper keeper(options, clock, nullptr);
    EXPECT_EQ(keeper.check({})->check().state(), v1::STORE_CHECK_STATE_WAITING);
    const auto found = run(keeper);
    EXPECT_EQ(found.state(), v1::STORE_CHECK_STATE_DAMAGED);
    EXPECT_NE(found.detail().find("record 2 of run/1"), std::string::npos) << found.detail();
    EXPECT_EQ(heard, "damaged: " + found.detail());
  }
  store_.close();
  run_sql(store_path_, "UPDATE payload SET data=CAST('text 1" + std::string(100'000, 'x') +
                           "' AS BLOB) WHERE position=2");
  ASSERT_TRUE(store_.open().ok());
  {
    DiskKeeper keeper(options, clock, nullptr);
    EXPECT_EQ(run(keeper).state(), v1::STORE_CHECK_STATE_OK);
    EXPECT_EQ(heard, "fine: 60 records verified");
  }
  // The next life knows when it was.
  DiskKeeper keeper(options, clock, nullptr);
  EXPECT_EQ(keeper.check({})->check().finished_ms(), clock.wall_now() / kNanosPerMilli);
}

TEST_F(BackupTest, ADamagedStoreDoesNotPushOutTheLastWholeBackup) {
  write_some(60, 100'000);
  contract::ManualClock clock;
  const KeeperOptions options{.store = store_path_, .directory = backups_, .keep = 1};
  const auto make = [&](DiskKeeper& keeper, const std::string& name) {
    v1::BackupRequest request;
    request.set_name(name);
    EXPECT_TRUE(keeper.backup(request).ok());
    while (keeper.check({})->backup().running()) std::this_thread::yield();
    const auto made = keeper.check({})->backup();
    EXPECT_EQ(made.error(), "");
    return made.note();
  };
  const auto look = [&](DiskKeeper& keeper) {
    std::promise<void> done;
    keeper.begin_check([&](bool, const std::string&) { done.set_value(); });
    done.get_future().wait();
  };
  {
    DiskKeeper keeper(options, clock, nullptr);
    EXPECT_EQ(make(keeper, "first"), "");
    EXPECT_EQ(make(keeper, "whole"), "");
    EXPECT_EQ(list_backups(backups_)->size(), 1u);
  }
  store_.close();
  run_sql(store_path_, "UPDATE payload SET data=CAST('forged' AS BLOB) WHERE position=2");
  ASSERT_TRUE(store_.open().ok());
  {
    DiskKeeper keeper(options, clock, nullptr);
    look(keeper);
    EXPECT_NE(make(keeper, "damaged").find("found damage"), std::string::npos);
  }
  {
    DiskKeeper keeper(options, clock, nullptr);
    EXPECT_NE(make(keeper, "in-the-next-life").find("found damage"), std::string::npos);
  }
  EXPECT_TRUE(verify(file("whole")).ok());
  store_.close();
  ASSERT_TRUE(restore(file("whole"), true).ok());
  ASSERT_TRUE(store_.open().ok());
  DiskKeeper keeper(options, clock, nullptr);
  look(keeper);
  EXPECT_EQ(make(keeper, "mended"), "");
  EXPECT_EQ(list_backups(backups_)->size(), 1u);
}

TEST_F(BackupTest, WhatHindersPruningIsNotTakenForAFailedBackup) {
  write_some(3);
  ASSERT_TRUE(create("one").ok());
  ASSERT_TRUE(create("two").ok());
  std::filesystem::resize_file(file("two"), 4096);
  contract::ManualClock clock;
  DiskKeeper keeper({.store = store_path_, .directory = backups_, .keep = 2}, clock, nullptr);
  const auto make = [&](const std::string& name) {
    v1::BackupRequest request;
    request.set_name(name);
    EXPECT_TRUE(keeper.backup(request).ok());
    while (keeper.check({})->backup().running()) std::this_thread::yield();
    EXPECT_EQ(keeper.check({})->backup().error(), "");
    EXPECT_TRUE(verify(file(name)).ok());
    return keeper.check({})->backup().note();
  };
  EXPECT_NE(make("three").find("two, which would stay, is damaged"), std::string::npos);
  EXPECT_TRUE(verify(file("one")).ok());
  std::ofstream(backups_ + "/other.json") << "not a manifest";
  EXPECT_NE(make("four").find("other.json"), std::string::npos);
}

}  // namespace
}  // namespace palyra::journal::backup
