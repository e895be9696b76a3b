// What pruning removes, and what it must not.
#include "plugins/journal/backup/segments.h"
#include "plugins/journal/backup/testing.h"

#include <fstream>

namespace palyra::journal::backup {
namespace {

using contract::Commit;

TEST_F(BackupTest, PruningNeverTakesWhatTheStoreItselfReads) {
  write_some(30);
  const std::string live = archive_some();
  // The store's directory as that of backups, by its name and by another one.
  const std::string alias = directory_.path() + "/alias";
  std::filesystem::create_directory_symlink(directory_.path(), alias);
  std::filesystem::create_directory(backups_);
  std::filesystem::create_directory_symlink(segments_, backups_ + "/segments");
  for (const std::string& directory : {directory_.path(), alias, backups_}) {
    SCOPED_TRACE(directory);
    for (const std::string name : {"one", "two"}) {
      ASSERT_TRUE(backup::create({store_path_, directory, name, kWallMs}).ok());
    }
    const auto made = backup::create({.store = store_path_,
                                      .directory = directory,
                                      .name = "",
                                      .wall_ms = kWallMs,
                                      .segments = segments_ + "/"});
    EXPECT_EQ(made.status().code(), Code::kFailedPrecondition);
    const Status refused = prune(directory, 1, "", segments_).status();
    EXPECT_EQ(refused.code(), Code::kFailedPrecondition);
    EXPECT_NE(refused.message().find("backup_dir"), std::string::npos) << refused.message();
    EXPECT_EQ(list_backups(directory)->size(), 2u);
    EXPECT_TRUE(files::exists(live));
    for (const std::string name : {"one", "two"}) {
      std::filesystem::remove(database_of(directory, name));
      std::filesystem::remove(manifest_of(directory, name));
    }
  }
}

TEST_F(BackupTest, PruningRemovesNothingThatItDoesNotKnow) {
  write_some(30);
  const std::string needed = std::filesystem::path(archive_some()).filename();
  const std::string unused = std::string(64, 'a') + ".ndjson.gz";
  const std::string cut = std::string(64, 'b') + ".ndjson.gz.part";
  ASSERT_TRUE(create_all("one").ok());
  ASSERT_TRUE(create_all("newer").ok());
  const std::string shared = shared_segments(backups_) + "/";
  for (const std::string& name : {unused, cut, std::string("README")}) {
    std::ofstream(shared + name) << "x";
  }
  // What a backup of a newer Palyra needs is not known.
  const std::string manifest = manifest_of(backups_, "newer");
  std::string text = *files::read(manifest, 4096);
  text.replace(text.find("\"format\": 1"), 11, "\"format\": 2");
  ASSERT_TRUE(files::write(manifest, text).ok());
  ASSERT_TRUE(create_all("two", 1).ok());
  std::vector<std::string> unreadable;
  EXPECT_EQ(list_backups(backups_, &unreadable)->size(), 2u);
  ASSERT_EQ(unreadable.size(), 1u);
  EXPECT_NE(unreadable[0].find("newer.json: the manifest has format 2"), std::string::npos)
      << unreadable[0];
  auto pruned = prune(backups_, 1, "", segments_);
  ASSERT_TRUE(pruned.ok()) << pruned.status().to_string();
  EXPECT_EQ(pruned->backups, std::vector<std::string>{"one"});
  EXPECT_EQ(pruned->unreadable, unreadable);
  EXPECT_TRUE(files::exists(shared + unused));
  // Nor what one without its database needs.
  ASSERT_TRUE(files::write(manifest, to_json(*create_all("three", 2))).ok());
  std::filesystem::remove(file("newer"));
  EXPECT_EQ(prune(backups_, 1, "", segments_)->unreadable.size(), 1u);
  EXPECT_TRUE(files::exists(shared + unused));
  std::filesystem::remove(manifest);
  ASSERT_TRUE(create_all("four", 3).ok());
  pruned = prune(backups_, 1, "", segments_);
  ASSERT_TRUE(pruned.ok()) << pruned.status().to_string();
  EXPECT_TRUE(pruned->unreadable.empty());
  EXPECT_FALSE(files::exists(shared + unused));
  EXPECT_FALSE(files::exists(shared + cut));
  EXPECT_TRUE(files::exists(shared + "README"));
  EXPECT_TRUE(files::exists(shared + needed));
  EXPECT_TRUE(verify(file("four")).ok());
}

TEST_F(BackupTest, AWholeBackupIsNotPrunedForADamagedOne) {
  write_some(30);
  ASSERT_TRUE(create("whole").ok());
  ASSERT_TRUE(create("damaged").ok());
  std::filesystem::resize_file(file("damaged"), 4096);
  const Status refused = prune(backups_, 1).status();
  EXPECT_EQ(refused.code(), Code::kDataLoss);
  EXPECT_NE(refused.message().find("backup damaged"), std::string::npos) << refused.message();
  EXPECT_TRUE(verify(file("whole")).ok());
}

TEST_F(BackupTest, NothingIsPrunedWhileOneIsBeingMade) {
  write_some(30);
  archive_some();
  ASSERT_TRUE(create_all("one").ok());
  ASSERT_TRUE(create_all("two").ok());
  Status pruned, second;
  const auto made = backup::create({.store = store_path_,
                                    .directory = backups_,
                                    .name = "three",
                                    .wall_ms = kWallMs,
                                    .segments = segments_},
                                   [&](uint64_t, uint64_t) {
                                     pruned = prune(backups_, 1).status();
                                     second = create("another").status();
                                     return true;
                                   });
  ASSERT_TRUE(made.ok()) << made.status().to_string();
  EXPECT_EQ(pruned.code(), Code::kFailedPrecondition);
  EXPECT_NE(pruned.message().find("try again"), std::string::npos) << pruned.message();
  EXPECT_EQ(second.code(), Code::kFailedPrecondition);
  EXPECT_TRUE(verify(file("three")).ok());
  EXPECT_EQ(prune(backups_, 1)->backups.size(), 2u);
}

TEST_F(BackupTest, AClockThatWasSetBackDoesNotMakeTheNewestTheOldest) {
  write_some(3);
  constexpr int64_t kDay = 24 * 3600 * 1000;
  ASSERT_TRUE(create_all("before").ok());
  ASSERT_TRUE(store_.commit(Commit().append("run/1", "more")).ok());
  ASSERT_TRUE(create_all("after", -kDay).ok());
  const auto all = list_backups(backups_);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].name, "after");
  EXPECT_EQ(prune(backups_, 1)->backups, std::vector<std::string>{"before"});
}

}  // namespace
}  // namespace palyra::journal::backup
