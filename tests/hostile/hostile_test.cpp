// SPDX-License-Identifier: Apache-2.0
// Each misbehaving plugin is quarantined by name and the rest runs.
#include "host/testdata/daemon_process.h"

#include <gtest/gtest.h>

#include <fstream>

namespace palyra::host {
namespace {

using testing::base_config;
using testing::DaemonProcess;

struct Fault {
  const char* plugin;  // dev.palyra.hostile.<plugin>
  const char* said;    // what the operator reads
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.plugin; }

std::string config_with(const std::string& plugin, const std::string& daemon) {
  return base_config("\"host-plugins\", \"hostile-plugins\"", daemon) +
         "[plugins.good]\nuse = \"dev.palyra.test.hello\"\n[plugins.bad]\nuse = "
         "\"dev.palyra.hostile." +
         plugin + "\"\n";
}

class HostileAtStart : public ::testing::TestWithParam<Fault> {};

TEST_P(HostileAtStart, IsQuarantinedWithItsReasonAndTheRestRuns) {
  DaemonProcess daemon(config_with(GetParam().plugin, "step_timeout_ms = 1500\n"));
  daemon.start();
  ASSERT_TRUE(daemon.read_until("2 plugins active, 1 quarantined")) << daemon.output();
  EXPECT_TRUE(daemon.has("instance 'bad' is quarantined")) << daemon.output();
  EXPECT_TRUE(daemon.has(GetParam().said)) << daemon.output();
  EXPECT_TRUE(daemon.has("hub: activate good"));
  EXPECT_FALSE(daemon.has("hub: activate bad"));
  EXPECT_EQ(daemon.terminate(), 0) << daemon.output();
  EXPECT_TRUE(daemon.has("good: stop"));
}

INSTANTIATE_TEST_SUITE_P(
    Faults, HostileAtStart,
    ::testing::Values(
        Fault{"hang_init", "instance 'bad': init did not return within 1.5 s"},
        Fault{"hang_start", "instance 'bad': start did not return within 1.5 s"},
        Fault{"throws", "instance 'bad': init threw an exception: thrown by init"},
        Fault{"fail_create", "instance 'bad': create failed: create does not feel like it"},
        Fault{"fail_start", "instance 'bad': start failed: port 1 is taken"},
        Fault{"long_error", "instance 'bad': init failed: xxxx"},
        Fault{"strange_code", "instance 'bad': init failed: INTERNAL"},
        Fault{"lying_abi", "speaks plugin ABI 7.9, this host speaks 0.9"},
        Fault{"small_descriptor", "its descriptor is too small"},
        Fault{"no_descriptor", "palyra_plugin_entry returned no descriptor"},
        Fault{"null_step", "lacks a lifecycle function"},
        Fault{"other_manifest", "the manifest of its descriptor is not that of its ELF note"},
        Fault{"abi_major", "was built for plugin ABI 99.9, this host speaks 0.9"},
        Fault{"bad_manifest", "has a bad 'concurrency'"}),
    [](const auto& test) { return std::string(test.param.plugin); });

TEST(Hostile, ALibraryWithoutAManifestNoteIsPassedOverAndSaidSo) {
  DaemonProcess daemon(config_with("no_note", ""));
  EXPECT_EQ(daemon.run({"--check"}), 78);
  EXPECT_TRUE(daemon.has("hostile_no_note.so is not a Palyra plugin: it has no manifest note"))
      << daemon.output();
}

TEST(Hostile, AFileThatIsNoLibraryIsPassedOver) {
  DaemonProcess daemon(base_config());
  const auto directory = daemon.config_file().parent_path();
  std::ofstream(directory / "garbage.so") << "\x7f"
                                             "ELF but not really";
  std::string config = base_config("\"host-plugins\"");
  config.insert(config.find(']', config.find("plugin_path")), ", \".\"");
  std::ofstream(daemon.config_file(), std::ios::trunc) << config;
  EXPECT_EQ(daemon.run({"--check"}), 0) << daemon.output();
  EXPECT_TRUE(daemon.has("garbage.so is not a loadable plugin")) << daemon.output();
}

TEST(Hostile, HangingInStopDoesNotKeepTheDaemonAlive) {
  DaemonProcess daemon(config_with("hang_stop", "step_timeout_ms = 1500\n"));
  daemon.start();
  ASSERT_TRUE(daemon.read_until("3 plugins active"));
  EXPECT_EQ(daemon.terminate(), 0);
  EXPECT_TRUE(daemon.has("instance 'bad': stop did not return within 1.5 s")) << daemon.output();
  EXPECT_TRUE(daemon.has("good: stop"));
}

TEST(Hostile, HangingOnTheLaneDoesNotKeepTheDaemonAlive) {
  DaemonProcess daemon(config_with("hang_lane", "step_timeout_ms = 1500\ndrain_seconds = 0\n"));
  daemon.start();
  ASSERT_TRUE(daemon.read_until("3 plugins active"));
  EXPECT_EQ(daemon.terminate(), 0);
  EXPECT_TRUE(daemon.has("instance 'bad': drain did not return within 1.5 s")) << daemon.output();
  EXPECT_TRUE(daemon.has("good: stop")) << daemon.output();
  EXPECT_TRUE(daemon.has("hub: close bad"));
}

TEST(Hostile, ThrowingOnTheLaneIsLoggedAndTheLaneGoesOn) {
  DaemonProcess daemon(config_with("throws_on_lane", ""));
  daemon.start();
  ASSERT_TRUE(daemon.read_until("a function on the lane threw: thrown on the lane"));
  EXPECT_EQ(daemon.terminate(), 0);
}

TEST(Hostile, OfTwoFilesOfOnePluginTheHigherVersionRunsTwice) {
  DaemonProcess daemon(config_with("twin", "") +
                       "[plugins.bad-too]\nuse = \"dev.palyra.hostile.twin\"\n");
  daemon.start();
  ASSERT_TRUE(daemon.read_until("4 plugins active")) << daemon.output();
  EXPECT_EQ(daemon.terminate(), 0);
  EXPECT_TRUE(daemon.has("hostile_twin_old.so (dev.palyra.hostile.twin 1.9.0) is passed over"))
      << daemon.output();
  EXPECT_TRUE(daemon.has("has version 1.10.0"));
}

TEST(Hostile, AHubThatHangsEndsTheDaemonWithTheReason) {
  DaemonProcess daemon(
      "[daemon]\nstate_dir = \"state\"\nstep_timeout_ms = 1500\nplugin_path = [\"" +
      std::string(std::getenv("PALYRA_BUILD_DIR")) +
      "/tests/hostile-plugins\"]\n[plugins.h]\nuse = \"dev.palyra.hostile.hub\"\n");
  EXPECT_EQ(daemon.run(), 69);
  EXPECT_TRUE(daemon.has("cannot start: instance 'h': init did not return within 1.5 s"))
      << daemon.output();
}

}  // namespace
}  // namespace palyra::host
