// Backups as an operator makes them: the real daemon, the real command line.
#include "tests/e2e/daemon.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <utility>

namespace palyra::e2e {
namespace {

using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

Json parsed(const Finished& finished) {
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  return Json::parse(finished.out, nullptr, false);
}

class BackupE2e : public testing::Test {
 protected:
  BackupE2e() : BackupE2e(DaemonOptions()) {}
  explicit BackupE2e(DaemonOptions options) : daemon_(std::move(options)) {}

  void say(const std::string& text) {
    const Finished run = daemon_.cli({"run", "--quiet", "/echo " + text});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_THAT(run.out, HasSubstr(text));
  }
  size_t sessions() { return parsed(daemon_.cli({"sessions", "list", "-o", "json"})).size(); }
  // Of the check that doctor calls so.
  std::string told(const std::string& name) {
    const Json all = parsed(daemon_.cli({"doctor", "-o", "json"}));
    for (const Json& check : all["checks"]) {
      if (check["name"] == name) return check["message"].get<std::string>();
    }
    return "";
  }

  Daemon daemon_;
};

TEST_F(BackupE2e, WhatWasBackedUpIsThereAgain) {
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  say("one");
  say("two");
  const Json made = parsed(daemon_.cli({"backup", "create", "--name", "first", "-o", "json"}));
  EXPECT_EQ(made["name"], "first");
  EXPECT_THAT(told("backups"), HasSubstr("1 in "));
  EXPECT_NE(told("journal-check"), "");
  say("three");
  EXPECT_EQ(sessions(), 3u);

  const Finished live = daemon_.cli({"backup", "restore", "first", "--force"});
  EXPECT_EQ(live.exit_code, 65);
  EXPECT_THAT(live.err, HasSubstr("process " + std::to_string(daemon_.pid())));
  EXPECT_EQ(daemon_.stop(), 0);

  EXPECT_THAT(daemon_.cli({"backup", "list"}).out, HasSubstr("first"));
  EXPECT_THAT(daemon_.cli({"backup", "verify", "first"}).out, HasSubstr("first is whole"));
  EXPECT_THAT(daemon_.cli({"backup", "restore", "first"}).err, HasSubstr("--force"));
  const Json restored =
      parsed(daemon_.cli({"backup", "restore", "first", "--force", "-o", "json"}));
  EXPECT_EQ(std::to_string(restored["position"].get<uint64_t>()), made["position"]);
  EXPECT_EQ(restored["runs"], 2);
  EXPECT_TRUE(std::filesystem::exists(restored["kept_old_store"].get<std::string>()));

  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  EXPECT_EQ(sessions(), 2u);
  say("on it goes");
  EXPECT_EQ(sessions(), 3u);
}

TEST_F(BackupE2e, ABackupIsFetchedAndRestoredElsewhereWithItsArchivedSegments) {
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  say("one");
  ASSERT_EQ(daemon_.cli({"storage", "archive", "--older-than", "0"}).exit_code, 0);
  say("two");
  TempDir elsewhere;
  const std::string file = elsewhere.path() + "/b.tar";
  const Finished made = daemon_.cli({"backup", "create", "--name", "b", "--file", file});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_THAT(made.err, HasSubstr("SHA-256"));
  EXPECT_FALSE(std::filesystem::exists(file + ".part"));
  EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms(0600));
  const std::string runs = daemon_.cli({"runs", "list", "-o", "ndjson"}).out;
  EXPECT_EQ(daemon_.stop(), 0);

  ASSERT_EQ(run_program({"/bin/tar", "xf", file, "-C", elsewhere.path()}).exit_code, 0);
  const std::string store = build_dir() + "/bin/palyra-store";
  const std::string backup = elsewhere.path() + "/b/b.sqlite";
  EXPECT_EQ(run_program({store, "verify", backup}).exit_code, 0);
  const std::string place = elsewhere.path() + "/journal/journal.sqlite";
  const Finished restored = run_program({store, "--store", place, "restore", backup});
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_THAT(restored.out, Not(HasSubstr("bring these files")));
  EXPECT_FALSE(std::filesystem::is_empty(elsewhere.path() + "/journal/segments"));
  // As another daemon's store it has the same runs, archived ones included.
  std::filesystem::remove_all(daemon_.state_dir() + "/journal");
  std::filesystem::copy(elsewhere.path() + "/journal", daemon_.state_dir() + "/journal",
                        std::filesystem::copy_options::recursive);
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  EXPECT_EQ(daemon_.cli({"runs", "list", "-o", "ndjson"}).out, runs);
  EXPECT_EQ(daemon_.cli({"audit", "verify"}).exit_code, 0);

  // What is there already is not touched, and found before the daemon works for nothing.
  for (const std::string& taken : {file, elsewhere.path()}) {
    const Finished refused = daemon_.cli({"backup", "create", "--name", "never", "--file", taken});
    EXPECT_EQ(refused.exit_code, 73) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr("; name a"));
    EXPECT_FALSE(std::filesystem::exists(taken + ".part"));
  }
  EXPECT_THAT(daemon_.cli({"backup", "list"}).out, Not(HasSubstr("never")));
  const Finished nowhere = daemon_.cli({"backup", "create", "--file", "/nowhere/b.tar"});
  EXPECT_EQ(nowhere.exit_code, 73) << nowhere.err;
  std::filesystem::remove_all(daemon_.state_dir() + "/journal/segments");
  const Finished lacking =
      daemon_.cli({"backup", "create", "--file", elsewhere.path() + "/lacks.tar"});
  EXPECT_EQ(lacking.exit_code, 76) << lacking.err;
  EXPECT_THAT(lacking.err, HasSubstr(".ndjson.gz"));
}

TEST_F(BackupE2e, BadWordsAreRefusedInASentence) {
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  const Finished path = daemon_.cli({"backup", "create", "--name", "../escape"});
  EXPECT_EQ(path.exit_code, 65);
  EXPECT_THAT(path.err, HasSubstr("not a path"));
  EXPECT_EQ(daemon_.cli({"backup", "create", "--name", "twice"}).exit_code, 0);
  EXPECT_THAT(daemon_.cli({"backup", "create", "--name", "twice"}).err, HasSubstr("already"));
  EXPECT_EQ(daemon_.cli({"backup", "verify", "nothing"}).exit_code, 66);
  const std::string file = daemon_.state_dir() + "/journal/backups/twice.sqlite";
  std::filesystem::resize_file(file, 4096);
  const Finished cut = daemon_.cli({"backup", "verify", "twice"});
  EXPECT_EQ(cut.exit_code, 1);
  EXPECT_THAT(cut.err, HasSubstr("truncated"));
  EXPECT_EQ(daemon_.stop(), 0);
  EXPECT_EQ(daemon_.cli({"backup", "create"}).exit_code, 69);
  EXPECT_EQ(daemon_.cli({"backup", "restore", "twice", "--force"}).exit_code, 1);
  EXPECT_EQ(daemon_.cli({"backup", "restore", "--to-time", "yesterday"}).exit_code, 65);
  for (const std::string wrong : {"0", "-5"}) {
    EXPECT_EQ(daemon_.cli({"backup", "restore", "--to-position", wrong, "--force"}).exit_code, 65);
  }
  EXPECT_EQ(daemon_.cli({"backup", "restore", "--to-time", "", "--force"}).exit_code, 64);
  EXPECT_TRUE(daemon_.start()) << "and the store is untouched: " << daemon_.log();
}

DaemonOptions with_archive() {
  DaemonOptions options;
  options.extra = "[storage]\narchive = true\nbackups_keep = 1\n";
  return options;
}

class ArchiveE2e : public BackupE2e {
 protected:
  ArchiveE2e() : BackupE2e(with_archive()) {}
};

TEST_F(ArchiveE2e, AnyMomentSinceTheBackupAfterAKill) {
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  say("one");
  parsed(daemon_.cli({"backup", "create", "--name", "older", "-o", "json"}));
  const Json base = parsed(daemon_.cli({"backup", "create", "--name", "base", "-o", "json"}));
  say("two");
  const Json status = parsed(daemon_.cli({"status", "-o", "json"}));
  const uint64_t moment = std::stoull(status["journal_position"].get<std::string>());
  ASSERT_GT(moment, std::stoull(base["position"].get<std::string>()));
  say("three");
  daemon_.kill_now();
  EXPECT_EQ(daemon_.cli({"backup", "verify", "older"}).exit_code, 66) << "backups_keep = 1";
  const Finished beyond = daemon_.cli({"backup", "restore", "--to-position", "100000", "--force"});
  EXPECT_EQ(beyond.exit_code, 65);
  EXPECT_THAT(beyond.err, HasSubstr("from position " + base["position"].get<std::string>()));
  const Json restored = parsed(daemon_.cli(
      {"backup", "restore", "--to-position", std::to_string(moment), "--force", "-o", "json"}));
  EXPECT_EQ(restored["position"], moment);
  EXPECT_EQ(restored["runs"], 2);
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  EXPECT_EQ(sessions(), 2u);
  EXPECT_EQ(daemon_.stop(), 0);
}

TEST_F(ArchiveE2e, TheLatestIsNeverOlderThanTheBackupAndAGapIsTold) {
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  say("one");
  EXPECT_EQ(daemon_.stop(), 0);
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  say("two");
  const Json night = parsed(daemon_.cli({"backup", "create", "--name", "night", "-o", "json"}));
  EXPECT_THAT(told("backups"), HasSubstr("1 in "));
  daemon_.kill_now();
  for (const std::string file : {"", "-wal", "-shm"}) {
    std::filesystem::remove(daemon_.state_dir() + "/journal/journal.sqlite" + file);
  }
  const Finished latest = daemon_.cli({"backup", "restore", "--to-latest", "-o", "json"});
  EXPECT_EQ(latest.exit_code, 0) << latest.err;
  EXPECT_GE(Json::parse(latest.out)["position"], std::stoull(night["position"].get<std::string>()));
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  EXPECT_EQ(sessions(), 2u);
  say("three");
  EXPECT_THAT(told("backups"), HasSubstr("the newest backup, night, does not lead to now"));
  EXPECT_EQ(daemon_.stop(), 0);
  const Finished gap = daemon_.cli({"backup", "restore", "--to-latest", "--force"});
  EXPECT_EQ(gap.exit_code, 76);
  EXPECT_THAT(gap.err, HasSubstr("the archive has a gap after"));
}

}  // namespace
}  // namespace palyra::e2e
