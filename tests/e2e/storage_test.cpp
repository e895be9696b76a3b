// The life of a store, through the real daemon and command line: full, archived, erased, given
// back.
#include "tests/e2e/run_client.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <filesystem>
#include <string>

namespace palyra::e2e {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr char kSecret[] = "swordfish";

DaemonOptions small_store(const std::string& max_bytes) {
  DaemonOptions options;
  options.extra = "[storage]\nmax_bytes = " + max_bytes + "\n";
  return options;
}

struct Said {
  std::string run;
  std::string session;
};

Said say(const Daemon& daemon, const std::string& text, const std::string& session = "") {
  RunClient client(daemon);
  EXPECT_TRUE(client.start(text, session));
  EXPECT_TRUE(client.finish().ok());
  EXPECT_EQ(client.status.state(), api::RUN_STATE_COMPLETED);
  return {client.run_id, client.session_id};
}

TEST(Storage, AFullStoreRefusesNewWorkAnswersReadsAndGoesOnWhenThereIsRoom) {
  Daemon daemon(small_store("8388608"));
  ASSERT_TRUE(daemon.start()) << daemon.log();
  const std::string big = "/echo " + std::string(70'000, 'x');
  std::string first_run;
  Finished refused;
  for (int i = 0; i < 130; ++i) {
    refused = daemon.cli({"run", "-o", "json", "-"}, big);
    if (refused.exit_code != 0) break;
    if (first_run.empty()) {
      first_run = json::parse(refused.out, nullptr, false).value("run_id", "");
    }
  }
  ASSERT_NE(refused.exit_code, 0) << "it was never full";
  EXPECT_THAT(refused.err, HasSubstr("max_bytes")) << daemon.log();
  EXPECT_THAT(refused.err, HasSubstr("no new work is taken"));

  // Reads, lists and the verdict of the doctor go on.
  EXPECT_EQ(daemon.cli({"tape", "verify", first_run}).exit_code, 0);
  EXPECT_THAT(daemon.cli({"runs", "list"}).out, HasSubstr(first_run));
  EXPECT_THAT(daemon.cli({"doctor"}).out, HasSubstr("no new work is taken"));
  EXPECT_THAT(daemon.cli({"status"}).out, HasSubstr("refusing"));
  EXPECT_THAT(daemon.cli({"storage", "status"}).out, HasSubstr("refusing"));

  const Finished archived = daemon.cli({"storage", "archive", "--older-than", "0"});
  ASSERT_EQ(archived.exit_code, 0) << archived.err;
  const Finished vacuumed = daemon.cli({"storage", "vacuum"});
  EXPECT_EQ(vacuumed.exit_code, 0) << vacuumed.err;
  // No restart: the next look at the room, at most 2 s later, finds it.
  Finished again;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  do {
    again = daemon.cli({"run", "/echo there is room"});
  } while (again.exit_code != 0 && std::chrono::steady_clock::now() < give_up);
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(daemon.cli({"tape", "verify", first_run}).exit_code, 0);
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
}

TEST(Storage, AnArchivedSessionReadsAndVerifiesAndIsErasedFromItsFilesToo) {
  Daemon daemon;
  ASSERT_TRUE(daemon.start()) << daemon.log();
  const Said said = say(daemon, std::string("/echo the password is ") + kSecret);
  const Finished dry = daemon.cli({"storage", "archive", "--older-than", "0", "--dry-run"});
  EXPECT_THAT(dry.out, HasSubstr("To be archived: 1 session;")) << dry.err;
  ASSERT_EQ(daemon.cli({"storage", "archive", "--older-than", "0"}).exit_code, 0);
  EXPECT_THAT(daemon.cli({"tape", "show", said.run}).out, HasSubstr("segment_closed"));
  EXPECT_THAT(daemon.cli({"tape", "export", said.run}).out, HasSubstr(said.run));
  EXPECT_EQ(daemon.cli({"tape", "verify", said.run}).exit_code, 0);
  const std::string segments = daemon.state_dir() + "/journal/segments";
  ASSERT_TRUE(std::filesystem::exists(segments)) << daemon.log();
  const auto unpacked = [&] { return run_program({"/bin/sh", "-c", "zcat " + segments + "/*"}); };
  EXPECT_THAT(unpacked().out, HasSubstr("run_created"));

  EXPECT_EQ(
      daemon.cli({"sessions", "erase", said.session, "--reason", "asked to forget"}).exit_code, 64)
      << "without --yes nobody is there to ask";
  const Finished erased =
      daemon.cli({"sessions", "erase", said.session, "--reason", "asked to forget", "--yes"});
  ASSERT_EQ(erased.exit_code, 0) << erased.err;
  EXPECT_THAT(unpacked().out, HasSubstr("\"erased\":true"));
  EXPECT_THAT(unpacked().out, Not(HasSubstr("\"payload\"")));
  EXPECT_EQ(daemon.cli({"tape", "verify", said.run}).exit_code, 0);
  for (const auto& words : {std::vector<std::string>{"tape", "show", "--full", said.run},
                            {"runs", "show", said.run},
                            {"sessions", "show", said.session}}) {
    EXPECT_THAT(daemon.cli(words).out, Not(HasSubstr(kSecret)));
  }
  EXPECT_THAT(erased.out, Not(HasSubstr("Not overwritten yet")));
  // Nor in any file of the store.
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(daemon.state_dir() + "/journal")) {
    if (!entry.is_regular_file()) continue;
    EXPECT_NE(run_program({"/bin/grep", "-q", kSecret, entry.path()}).exit_code, 0) << entry.path();
  }
  say(daemon, "/echo and on it goes", said.session);
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
}

}  // namespace
}  // namespace palyra::e2e
