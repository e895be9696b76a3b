// SPDX-License-Identifier: Apache-2.0
// palyrad as a whole, with small plugins in plain C.
#include "host/testdata/daemon_process.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace palyra::host {
namespace {

using testing::base_config;
using testing::DaemonProcess;

TEST(Palyrad, StartsInDependencyOrderAndStopsInReverse) {
  DaemonProcess daemon(base_config() + R"(
[plugins.a-listener]
use = "dev.palyra.test.listener"
[plugins.the-hello]
use = "dev.palyra.test.hello"
[services]
"test.hello/1" = "the-hello"
)");
  daemon.start();
  ASSERT_TRUE(daemon.read_until("ready in ")) << daemon.output();
  EXPECT_EQ(daemon.terminate(), 0) << daemon.output();
  const std::vector<std::string> story = {"hub: bind test.hello/1",
                                          "hub: start",
                                          "hub: open trusted the-hello",
                                          "the-hello: init",
                                          "the-hello: start",
                                          "hub: activate the-hello",
                                          "hub: open trusted a-listener",
                                          "hub: activate a-listener",
                                          "3 plugins active",
                                          "hub: drain myself",
                                          "hub: stop",
                                          "hub: drain a-listener",
                                          "a-listener: stop",
                                          "hub: close a-listener",
                                          "the-hello: stop",
                                          "hub: close the-hello",
                                          "hub: destroy",
                                          "host: stopped in "};
  for (size_t i = 0; i < story.size(); ++i) {
    ASSERT_TRUE(daemon.has(story[i])) << story[i] << '\n' << daemon.output();
    if (i > 0) {
      EXPECT_LT(daemon.at(story[i - 1]), daemon.at(story[i])) << story[i] << daemon.output();
    }
  }
  EXPECT_TRUE(daemon.has("the-hello: on the lane"));
}

TEST(Palyrad, AsksABusyHubAgainUntilItHasDrained) {
  DaemonProcess daemon(base_config() + "[plugins.hub.config]\nbusy_drains = 2\n");
  daemon.start();
  ASSERT_TRUE(daemon.read_until("ready in "));
  EXPECT_EQ(daemon.terminate(), 0);
  size_t asked = 0;
  for (size_t at = 0; (at = daemon.output().find("drain myself", at)) != std::string::npos; ++at) {
    ++asked;
  }
  EXPECT_EQ(asked, 3u) << daemon.output();
}

TEST(Palyrad, ASecondSignalStopsAtOnce) {
  DaemonProcess daemon(base_config() + "[plugins.hub.config]\nbusy_drains = 1000000\n");
  // It ends without joining its threads, on purpose: that is no finding of ThreadSanitizer's.
  const char* set = std::getenv("TSAN_OPTIONS");
  const std::string before = set == nullptr ? "" : set;
  ::setenv("TSAN_OPTIONS", (before + ":report_thread_leaks=0").c_str(), 1);
  daemon.start();
  ::setenv("TSAN_OPTIONS", before.c_str(), 1);
  ASSERT_TRUE(daemon.read_until("ready in "));
  ::kill(daemon.pid(), SIGTERM);
  ASSERT_TRUE(daemon.read_until("drain myself"));
  ::kill(daemon.pid(), SIGINT);
  EXPECT_EQ(daemon.wait(), 128 + SIGINT);
}

TEST(Palyrad, MergesTheSectionWithTheInstancesOwnTableAndFillsInDefaults) {
  DaemonProcess daemon(base_config() + R"(
[hello]
times = 3
[plugins.one]
use = "dev.palyra.test.hello"
[plugins.two]
use = "dev.palyra.test.hello"
config = { times = 5, greeting = "hi" }
)");
  daemon.start();
  ASSERT_TRUE(daemon.read_until("ready in ")) << daemon.output();
  EXPECT_EQ(daemon.terminate(), 0);
  EXPECT_TRUE(daemon.has(R"(one: init config="{"greeting":"hello","times":3}")"))
      << daemon.output();
  EXPECT_TRUE(daemon.has(R"(two: init config="{"greeting":"hi","times":5}")")) << daemon.output();
}

TEST(Palyrad, AFaultyPluginSectionQuarantinesThatPluginAndTheRestRuns) {
  DaemonProcess daemon(base_config() + R"([plugins.good]
use = "dev.palyra.test.hello"
[plugins.bad]
use = "dev.palyra.test.hello"
[plugins.bad.config]
greetnig = "typo"
times = 12
)");
  daemon.start();
  ASSERT_TRUE(daemon.read_until("ready in ")) << daemon.output();
  EXPECT_EQ(daemon.terminate(), 0);
  EXPECT_TRUE(daemon.has("hub: activate good"));
  EXPECT_FALSE(daemon.has("hub: open trusted bad"));
  EXPECT_TRUE(
      daemon.has("palyra.toml:12:1: plugins.bad.config.greetnig: unknown key; did you mean "
                 "'greeting'?"))
      << daemon.output();
  EXPECT_TRUE(
      daemon.has("palyra.toml:13:1: plugins.bad.config.times: must be at least 1 and at most "
                 "9, not 12"))
      << daemon.output();
  EXPECT_TRUE(daemon.has("2 plugins active, 1 quarantined"));
}

TEST(Palyrad, ListsEveryErrorOfTheHostSectionsAndExits78) {
  DaemonProcess daemon(
      base_config("\"host-plugins\"", "drain_second = 3\npool_threads = \"two\"\n") +
      "[helo]\ntimes = 1\n[services]\n\"a/1\" = \"nobody\"\n[log]\nlevel=\"inf\"\n");
  EXPECT_EQ(daemon.run(), 78);
  EXPECT_TRUE(
      daemon.has("palyra.toml:4:1: daemon.drain_second: unknown key; did you mean "
                 "'drain_seconds'?"))
      << daemon.output();
  EXPECT_TRUE(daemon.has("daemon.pool_threads: must be an integer, not a string"));
  EXPECT_TRUE(
      daemon.has("[helo]: no plugin that was found claims this section; did you mean "
                 "'hello'?"));
  EXPECT_TRUE(daemon.has("there is no [plugins.nobody]"));
  EXPECT_TRUE(daemon.has("did you mean 'info'?"));
  EXPECT_FALSE(std::filesystem::exists(daemon.state_dir()));
}

TEST(Palyrad, ASyntaxErrorExits78WithItsPlace) {
  DaemonProcess daemon("[daemon]\nstate_dir = \n");
  EXPECT_EQ(daemon.run(), 78);
  EXPECT_TRUE(daemon.has("palyra.toml:2:")) << daemon.output();
}

TEST(Palyrad, NeverRepeatsALiteralSecret) {
  DaemonProcess daemon(base_config() + R"([plugins.leaky]
use = "dev.palyra.test.hello"
config = { api_key = "sk-this-must-never-be-seen" }
)");
  daemon.start();
  ASSERT_TRUE(daemon.read_until("ready in "));
  EXPECT_EQ(daemon.terminate(), 0);
  EXPECT_FALSE(daemon.has("never-be-seen")) << daemon.output();
  EXPECT_TRUE(daemon.has("write \"env:NAME\" or \"file:PATH\" here")) << daemon.output();
  EXPECT_TRUE(daemon.has("<refused>"));
}

TEST(Palyrad, KeepsResolvedSecretsOutOfTheLog) {
  ::setenv("HELLO_SECRET", "tell-nobody-about-me", 1);
  DaemonProcess daemon(base_config() + "[plugins.careless]\nuse = \"dev.palyra.test.hello\"\n");
  daemon.start();
  ASSERT_TRUE(daemon.read_until("ready in "));
  ::unsetenv("HELLO_SECRET");
  EXPECT_EQ(daemon.terminate(), 0);
  EXPECT_TRUE(daemon.has("careless: [secret]")) << daemon.output();
  EXPECT_FALSE(daemon.has("tell-nobody")) << daemon.output();
}

TEST(Palyrad, ThirdPartyPluginsNeedTheOperatorsWordToRunInside) {
  DaemonProcess daemon(base_config() + R"([plugins.silent]
use = "com.example.stranger"
[plugins.child]
use = "com.example.stranger"
isolation = "process"
[plugins.trusted]
use = "com.example.stranger"
isolation = "in_process"
)");
  daemon.start();
  ASSERT_TRUE(daemon.read_until("ready in "));
  EXPECT_EQ(daemon.terminate(), 0);
  EXPECT_TRUE(daemon.has("hub: open stranger trusted"));
  EXPECT_FALSE(daemon.has("open stranger silent"));
  EXPECT_FALSE(daemon.has("open stranger child"));
  EXPECT_TRUE(daemon.has("write isolation = \"in_process\" in [plugins.silent]"));
  EXPECT_TRUE(daemon.has("isolation = \"process\" is not offered by this version"));
}

TEST(Palyrad, ReportsMissingNeedsAndCyclesByNameAndRunsTheRest) {
  DaemonProcess daemon(base_config() + R"([plugins.needy]
use = "dev.palyra.test.needy"
[plugins.hen]
use = "dev.palyra.test.hen"
[plugins.egg]
use = "dev.palyra.test.egg"
[plugins.good]
use = "dev.palyra.test.hello"
[plugins.absent]
use = "dev.palyra.test.helo"
)");
  EXPECT_EQ(daemon.run({"--check"}), 78);
  EXPECT_TRUE(daemon.has("'needy' would be quarantined: needs test.nowhere/1, which no enabled"));
  EXPECT_TRUE(daemon.has("cycle of needs: egg -> hen -> egg")) << daemon.output();
  EXPECT_TRUE(daemon.has("did you mean 'dev.palyra.test.hello'?")) << daemon.output();
  daemon.start();
  ASSERT_TRUE(daemon.read_until("2 plugins active, 4 quarantined")) << daemon.output();
  EXPECT_EQ(daemon.terminate(), 0);
}

TEST(Palyrad, ASecondDaemonOnTheSameStateIsRefusedNamingTheFirst) {
  DaemonProcess first(base_config());
  first.start();
  ASSERT_TRUE(first.read_until("ready in "));
  std::string config = base_config();
  config.replace(config.find("\"state\""), 7, '"' + first.state_dir().string() + '"');
  DaemonProcess second(config);
  EXPECT_EQ(second.run(), 75);
  EXPECT_TRUE(second.has("(process " + std::to_string(first.pid()) + ")")) << second.output();
  EXPECT_EQ(first.terminate(), 0);
  DaemonProcess third(config);
  third.start();
  EXPECT_TRUE(third.read_until("ready in ")) << third.output();
  EXPECT_EQ(third.terminate(), 0);
}

TEST(Palyrad, StateDirectoriesArePrivate) {
  DaemonProcess daemon(base_config());
  daemon.start();
  ASSERT_TRUE(daemon.read_until("ready in "));
  for (const auto& path : {daemon.state_dir(), daemon.state_dir() / "hub"}) {
    struct stat info = {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0) << path;
    EXPECT_EQ(info.st_mode & 0777, 0700u) << path;
  }
  EXPECT_EQ(daemon.terminate(), 0);
}

TEST(Palyrad, WithoutAHubItExitsWithTheReason) {
  DaemonProcess daemon("[daemon]\nstate_dir = \"state\"\nplugin_path = []\n");
  EXPECT_EQ(daemon.run(), 78);
  EXPECT_TRUE(daemon.has("no enabled instance provides palyra.registry/1")) << daemon.output();
}

TEST(Palyrad, CheckStartsNothing) {
  DaemonProcess daemon(base_config());
  EXPECT_EQ(daemon.run({"--check"}), 0) << daemon.output();
  EXPECT_TRUE(daemon.has("fine, 1 plugins would start")) << daemon.output();
  EXPECT_FALSE(std::filesystem::exists(daemon.state_dir()));
}

TEST(Palyrad, UnknownArgumentsExit64) {
  DaemonProcess daemon(base_config());
  EXPECT_EQ(daemon.run({"--chekc"}), 64);
}

TEST(Palyrad, TellsTheServiceManagerWhenItIsReady) {
  DaemonProcess daemon(base_config());
  const std::string path = daemon.config_file().parent_path() / "notify";
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  daemon.start();
  ::unsetenv("NOTIFY_SOCKET");
  const auto told = [fd] {
    char message[64] = {};
    return std::string(message, ::recv(fd, message, sizeof(message), 0) < 0
                                    ? 0
                                    : ::strnlen(message, sizeof(message)));
  };
  EXPECT_EQ(told(), "READY=1");
  EXPECT_EQ(daemon.terminate(), 0);
  EXPECT_EQ(told(), "STOPPING=1");

  DaemonProcess lame(base_config() + "[plugins.needy]\nuse = \"dev.palyra.test.needy\"\n");
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  lame.start();
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_EQ(told(), "READY=1\nSTATUS=quarantined: needy");
  EXPECT_EQ(lame.terminate(), 0);
  ::close(fd);
}

TEST(Palyrad, DescribesItselfToTheHubAsJson) {
  DaemonProcess daemon(base_config() +
                       "[log]\nformat = \"json\"\n[plugins.off]\nuse = "
                       "\"dev.palyra.test.hello\"\nenabled = false\n");
  daemon.start();
  ASSERT_TRUE(daemon.read_until("ready in "));
  EXPECT_EQ(daemon.terminate(), 0);
  nlohmann::json plugins;
  size_t documents = 0;
  for (size_t at = 0; at < daemon.output().size();) {
    const size_t end = daemon.output().find('\n', at);
    const auto line = nlohmann::json::parse(daemon.output().substr(at, end - at), nullptr, false);
    ASSERT_FALSE(line.is_discarded()) << daemon.output().substr(at, end - at);
    if (line.contains("fields")) {
      const auto text = line["fields"]["json"].get<std::string>();
      const auto document = nlohmann::json::parse(text, nullptr, false);
      EXPECT_FALSE(document.is_discarded()) << text;
      ++documents;
      if (line["message"] == "plugins") plugins = document;
    }
    at = end + 1;
  }
  EXPECT_EQ(documents, 5u);
  ASSERT_EQ(plugins.size(), 2u);
  EXPECT_EQ(plugins[0]["instance"], "hub");
  EXPECT_EQ(plugins[0]["state"], "active");
  EXPECT_EQ(plugins[1]["state"], "found");
  EXPECT_EQ(plugins[1]["reason"], "disabled");
}

}  // namespace
}  // namespace palyra::host
