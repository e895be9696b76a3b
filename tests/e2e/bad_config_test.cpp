// What is wrong before the first request: each mistake gets one sentence that says what to do and
// the documented exit code, and nothing that was there before is lost.
#include "tests/e2e/run_client.h"

#include <gmock/gmock.h>
#include <sqlite3.h>

#include <arpa/inet.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <regex>
#include <sys/socket.h>
#include <unistd.h>

namespace palyra::e2e {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kSecret = "sk-this-must-never-be-printed";

// Every story begins with a run that must still be there at its end.
class BadConfigTest : public testing::Test {
 protected:
  BadConfigTest() : daemon_(options()) {}

  static DaemonOptions options() {
    DaemonOptions options;
    options.gateway = "queue_depth = 8";
    options.plugin_paths = {build_dir() + "/tests/hostile-plugins"};
    return options;
  }

  void SetUp() override {
    ASSERT_TRUE(daemon_.start()) << daemon_.log();
    RunClient client(daemon_);
    ASSERT_TRUE(client.start("remember me"));
    ASSERT_TRUE(client.finish().ok());
    run_id_ = client.run_id;
    ASSERT_EQ(daemon_.stop(), 0);
    good_ = daemon_.config();
  }

  void expect_refused(int exit_code, const std::string& sentence) {
    EXPECT_FALSE(daemon_.start());
    EXPECT_EQ(daemon_.exit_code(), exit_code) << daemon_.log();
    EXPECT_THAT(daemon_.log(), HasSubstr(sentence));
  }

  void expect_the_run() {
    const Finished shown = daemon_.cli({"runs", "show", run_id_});
    EXPECT_EQ(shown.exit_code, 0) << shown.err;
    EXPECT_THAT(shown.out, HasSubstr("remember me"));
    const Finished verified = daemon_.cli({"tape", "verify", run_id_});
    EXPECT_EQ(verified.exit_code, 0) << verified.err;
    EXPECT_EQ(daemon_.cli({"run", "and go on"}).exit_code, 0);
  }

  void expect_all_well_after_repair() {
    daemon_.write_config(good_);
    ASSERT_TRUE(daemon_.start()) << daemon_.log();
    expect_the_run();
    EXPECT_EQ(daemon_.stop(), 0) << daemon_.log();
  }

  std::string journal() const { return daemon_.state_dir() + "/journal/journal.sqlite"; }

  Daemon daemon_;
  std::string run_id_;
  std::string good_;
};

// "palyra.toml:LINE:1" of the line that starts with `key`.
std::string place_of(const Daemon& daemon, const std::string& key) {
  std::istringstream lines(daemon.config());
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.rfind(key, 0) == 0) return "palyra.toml:" + std::to_string(number) + ":1";
  }
  return "no line starts with " + key;
}

TEST_F(BadConfigTest, AnUnknownKeyIsNamedWithItsPlaceAndTheNearestKey) {
  daemon_.edit_config("queue_depth", "queue_dept");
  expect_refused(78, place_of(daemon_, "queue_dept") +
                         ": gateway.queue_dept: unknown key; did you mean 'queue_depth'?");
  const Finished checked = daemon_.cli({"config", "check"});
  EXPECT_EQ(checked.exit_code, 78);
  EXPECT_THAT(checked.err, HasSubstr("did you mean 'queue_depth'?"));
  expect_all_well_after_repair();
}

TEST_F(BadConfigTest, AnUnknownKeyOfTheDaemonIsNamedWithItsPlaceAndTheNearestKey) {
  daemon_.edit_config("[daemon]", "[daemon]\ndrain_second = 3");
  expect_refused(78, place_of(daemon_, "drain_second") +
                         ": daemon.drain_second: unknown key; did you mean 'drain_seconds'?");
  expect_all_well_after_repair();
}

TEST_F(BadConfigTest, AWrongTypeIsNamedWithItsPlace) {
  daemon_.edit_config("queue_depth = 8", "queue_depth = \"eight\"");
  expect_refused(78, place_of(daemon_, "queue_depth") + ": gateway.queue_depth: must be an");
  expect_all_well_after_repair();
}

TEST_F(BadConfigTest, WhatTheJournalRefusesIsFoundBeforeAStartAndNamedAtIt) {
  daemon_.write_config(good_ + "[storage]\nmax_bytes = 5\nbackup_dir = \"relative\"\n");
  const Finished checked = daemon_.cli({"config", "check"});
  EXPECT_EQ(checked.exit_code, 78);
  EXPECT_THAT(checked.err, HasSubstr("max_bytes: must be at least 4194304"));
  EXPECT_THAT(checked.err, HasSubstr("backup_dir: does not have the form ^/"));
  const Finished started = daemon_.cli({"daemon", "start"});
  EXPECT_EQ(started.exit_code, 0) << started.err;
  EXPECT_THAT(started.err, HasSubstr("quarantined: journal"));
  EXPECT_EQ(daemon_.cli({"daemon", "stop"}).exit_code, 0);
  daemon_.write_config(good_ + "[storage]\nmax_bytes = 0\nbackup_dir = \"\"\n");
  EXPECT_EQ(daemon_.cli({"config", "check"}).exit_code, 0);
  expect_all_well_after_repair();
}

TEST_F(BadConfigTest, AFileThatCannotBeReadIsSaid) {
  ASSERT_EQ(chmod(daemon_.config_path().c_str(), 0), 0);
  const Finished refused =
      run_program({build_dir() + "/bin/palyrad", "--config", daemon_.config_path()}, "", {}, true);
  EXPECT_EQ(refused.exit_code, 78) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr(daemon_.config_path()));
  EXPECT_THAT(refused.err, HasSubstr("Permission denied"));
  // The command line does not pass over it to some other daemon.
  const Finished run = run_program(
      {build_dir() + "/bin/palyra", "--config", daemon_.config_path(), "run", "hi"}, "", {}, true);
  EXPECT_EQ(run.exit_code, 78) << run.err;
  EXPECT_THAT(run.err, HasSubstr("Permission denied"));
  ASSERT_EQ(chmod(daemon_.config_path().c_str(), 0600), 0);
  expect_all_well_after_repair();
}

TEST_F(BadConfigTest, ALiteralKeyIsRefusedAndNeverPrinted) {
  daemon_.write_config(good_ + "[plugins.paid]\nuse = \"dev.palyra.openai\"\n" +
                       "[plugins.paid.config]\napi_key = \"" + kSecret + "\"\n");
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  EXPECT_THAT(daemon_.log(), HasSubstr("write \"env:NAME\" or \"file:PATH\""));
  for (const auto& command : std::vector<std::vector<std::string>>{{"plugins", "list"},
                                                                   {"plugins", "show", "paid"},
                                                                   {"config", "show"},
                                                                   {"config", "check"},
                                                                   {"models", "list", "--probe"},
                                                                   {"doctor"},
                                                                   {"doctor", "-o", "json"}}) {
    const Finished said = daemon_.cli(command);
    EXPECT_THAT(said.out + said.err, Not(HasSubstr(kSecret))) << command[0];
  }
  EXPECT_THAT(daemon_.log(), Not(HasSubstr(kSecret)));
  expect_the_run();
  EXPECT_EQ(daemon_.stop(), 0);
  expect_all_well_after_repair();
}

TEST_F(BadConfigTest, BadPluginsAreQuarantinedAndTheRestRuns) {
  daemon_.edit_config("[daemon]", "[daemon]\nstep_timeout_ms = 500");
  daemon_.write_config(daemon_.config() +
                       "[plugins.missing]\nuse = \"dev.palyra.embeded\"\n"
                       "[plugins.alien]\nuse = \"dev.palyra.hostile.abi_major\"\n"
                       "[plugins.thrower]\nuse = \"dev.palyra.hostile.throws\"\n"
                       "[plugins.sleeper]\nuse = \"dev.palyra.hostile.hang_init\"\n");
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  expect_the_run();
  const std::map<std::string, std::string> reasons = {
      {"missing", "did you mean 'dev.palyra.embedded'\\?"},
      {"alien", "ABI.*99"},
      {"thrower", "threw|exception"},
      {"sleeper", "did not return within 0.5 s"}};
  const Finished list = daemon_.cli({"plugins", "list"});
  const Finished doctor = daemon_.cli({"doctor"});
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_EQ(doctor.exit_code, 1) << "doctor found something";
  for (const auto& [instance, reason] : reasons) {
    EXPECT_THAT(list.out, ContainsRegex(instance + " .*quarantined: .*(" + reason + ")"));
    EXPECT_THAT(doctor.out, ContainsRegex(instance + ".*quarantined: .*(" + reason + ")"));
    const Finished shown = daemon_.cli({"plugins", "show", instance});
    EXPECT_EQ(shown.exit_code, 0);
    EXPECT_THAT(shown.out, ContainsRegex("reason .*(" + reason + ")"));
  }
  const Finished status = daemon_.cli({"status"});
  EXPECT_THAT(status.out, HasSubstr("4 active, 4 quarantined"));
  (void)daemon_.stop();  // a plugin that hangs may be left behind
  expect_all_well_after_repair();
}

TEST_F(BadConfigTest, APortInUseEndsTheStart) {
  const int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(taken, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(taken, 1), 0);
  getsockname(taken, reinterpret_cast<sockaddr*>(&address), &size);
  const std::string place = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  daemon_.edit_config("127.0.0.1:0", place);
  expect_refused(69, "cannot listen on " + place + ": the port is in use");
  EXPECT_THAT(daemon_.log(), HasSubstr("change gateway.grpc_listen"));
  close(taken);
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  expect_the_run();
  EXPECT_EQ(daemon_.stop(), 0);
}

TEST_F(BadConfigTest, AnAddressThatOthersReachIsRefused) {
  daemon_.edit_config("127.0.0.1:0", "0.0.0.0:0");
  EXPECT_FALSE(daemon_.start());
  EXPECT_THAT(daemon_.exit_code(), testing::AnyOf(69, 78));
  EXPECT_THAT(daemon_.log(), HasSubstr("reachable from other machines"));
  expect_all_well_after_repair();
}

TEST_F(BadConfigTest, AStateDirectoryThatCannotBeWrittenIsSaid) {
  ASSERT_EQ(chmod(daemon_.state_dir().c_str(), 0500), 0);
  const Finished refused =
      run_program({build_dir() + "/bin/palyrad", "--config", daemon_.config_path()}, "", {}, true);
  EXPECT_EQ(refused.exit_code, 73) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("the state directory " + daemon_.state_dir()));
  EXPECT_THAT(refused.err, HasSubstr("set daemon.state_dir"));
  const Finished started = run_program(
      {build_dir() + "/bin/palyra", "--config", daemon_.config_path(), "daemon", "start"}, "", {},
      true);
  EXPECT_EQ(started.exit_code, 73) << started.err;
  EXPECT_THAT(started.err, HasSubstr("Permission denied; set daemon.state_dir"));
  ASSERT_EQ(chmod(daemon_.state_dir().c_str(), 0700), 0);
  expect_all_well_after_repair();
}

void sql(const std::string& path, const char* statement) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, statement, nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(db);
  sqlite3_close(db);
}

// What PRAGMA user_version says.
std::string schema_version(const std::string& path) {
  sqlite3* db = nullptr;
  std::string version;
  EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  const auto row = [](void* out, int, char** values, char**) {
    *static_cast<std::string*>(out) = values[0];
    return 0;
  };
  EXPECT_EQ(sqlite3_exec(db, "PRAGMA user_version", row, &version, nullptr), SQLITE_OK);
  sqlite3_close(db);
  return version;
}

TEST_F(BadConfigTest, AJournalOfANewerVersionIsLeftAloneAndSaid) {
  const std::string version = schema_version(journal());
  sql(journal(), "PRAGMA user_version=99");
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  const Finished doctor = daemon_.cli({"doctor"});
  EXPECT_EQ(doctor.exit_code, 1);
  EXPECT_THAT(doctor.out, ContainsRegex("written by a newer version.*upgrade Palyra"));
  const Finished run = daemon_.cli({"run", "hello"});
  EXPECT_EQ(run.exit_code, 69) << run.err;
  EXPECT_THAT(run.err, HasSubstr("palyra doctor")) << "not: no daemon answers";
  EXPECT_EQ(daemon_.stop(), 0);
  sql(journal(), ("PRAGMA user_version=" + version).c_str());
  expect_all_well_after_repair();
}

TEST_F(BadConfigTest, ACorruptedPageIsReportedAndARestoredCopyHasEverything) {
  std::filesystem::copy_file(journal(), journal() + ".copy");
  const auto damage = [&] {
    std::fstream file(journal(), std::ios::in | std::ios::out | std::ios::binary);
    // Every page behind the first one that is in use: whatever is read first is damaged.
    file.seekg(0, std::ios::end);
    const auto end = file.tellg();
    const std::string junk(4096, '\x5a');
    for (std::streamoff at = 4096; at < end; at += 4096) {
      file.seekp(at);
      file.write(junk.data(), static_cast<std::streamsize>(junk.size()));
    }
  };
  damage();
  // The log of the last session would cover for the pages.
  std::filesystem::remove(journal() + "-wal");
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  const Finished run = daemon_.cli({"run", "hello"});
  EXPECT_NE(run.exit_code, 0);
  EXPECT_THAT(daemon_.log(), HasSubstr(journal()));
  EXPECT_THAT(daemon_.log(), ContainsRegex("malformed|corrupt|damaged"));
  EXPECT_THAT(daemon_.log(), HasSubstr("backup"));
  const Finished doctor = daemon_.cli({"doctor"});
  EXPECT_EQ(doctor.exit_code, 1) << doctor.out;
  (void)daemon_.stop();
  std::filesystem::rename(journal() + ".copy", journal());
  std::filesystem::remove(journal() + "-wal");
  std::filesystem::remove(journal() + "-shm");
  expect_all_well_after_repair();
}

TEST_F(BadConfigTest, ASecondDaemonOnTheStateDirectoryIsRefusedNamingTheFirst) {
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  const Finished second =
      run_program({build_dir() + "/bin/palyrad", "--config", daemon_.config_path()});
  EXPECT_EQ(second.exit_code, 75) << second.err;
  EXPECT_THAT(second.err, HasSubstr("process " + std::to_string(daemon_.pid())));
  const Finished start = daemon_.cli({"daemon", "start"});
  EXPECT_EQ(start.exit_code, 0);
  EXPECT_THAT(start.out, HasSubstr("runs already (pid " + std::to_string(daemon_.pid()) + ")"));
  expect_the_run();
  EXPECT_EQ(daemon_.stop(), 0);
}

TEST_F(BadConfigTest, ASecondDaemonOnTheSameStoreIsRefusedNamingTheFirst) {
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  DaemonOptions other;
  other.extra = "[storage]\npath = \"" + journal() + "\"\n";
  Daemon second(other);
  ASSERT_TRUE(second.start()) << second.log();
  const Finished doctor = second.cli({"doctor"});
  EXPECT_EQ(doctor.exit_code, 1);
  EXPECT_THAT(doctor.out, HasSubstr(std::to_string(daemon_.pid())));
  expect_the_run();
  EXPECT_EQ(second.stop(), 0);
  EXPECT_EQ(daemon_.stop(), 0);
}

}  // namespace
}  // namespace palyra::e2e
