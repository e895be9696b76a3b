// Replay as people use it: real `palyra`, real daemons, a file that goes from one to the other.
#include "tests/e2e/daemon.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <sstream>

namespace palyra::e2e {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kNoSuchUlid = "01J9ZC3V5N8K2M4P6R7S9T0W1X";

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// One run with a tool call; its id.
std::string one_run(const Daemon& daemon) {
  const Finished run = daemon.cli({"run", "-o", "json", "/tool time.now {}"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  return json::parse(run.out, nullptr, false).value("run_id", "");
}

TEST(Replay, ARunIsTheSameAndAChangeShowsTheFirstDifference) {
  Daemon daemon;
  ASSERT_TRUE(daemon.start()) << daemon.log();
  const std::string run_id = one_run(daemon);

  const Finished same = daemon.cli({"replay", run_id});
  EXPECT_EQ(same.exit_code, 0) << same.err;
  EXPECT_THAT(same.out, HasSubstr("the same"));
  EXPECT_THAT(same.out, HasSubstr("prompts verified"));
  const Finished in_json = daemon.cli({"replay", run_id, "-o", "json"});
  EXPECT_EQ(json::parse(in_json.out, nullptr, false).value("verdict", ""), "REPLAY_VERDICT_SAME")
      << in_json.out;

  const Finished prompt = daemon.cli({"replay", run_id, "--prompt", "You are a pirate."});
  EXPECT_EQ(prompt.exit_code, 0) << prompt.err;
  EXPECT_THAT(prompt.out, HasSubstr("The runs are the same, step by step."))
      << "the model follows rules, and the tool answers what it answered then";
  const Finished model = daemon.cli({"replay", run_id, "--model", "bench"});
  EXPECT_EQ(model.exit_code, 0) << model.err;
  EXPECT_THAT(model.out, HasSubstr("first difference: "));
  const Finished both = daemon.cli({"replay", run_id, "--model", "bench", "-o", "json"});
  const json comparison = json::parse(both.out, nullptr, false);
  EXPECT_EQ(comparison.value("left_model", ""), "embedded/rules") << both.out;
  EXPECT_EQ(comparison.value("right_model", ""), "embedded/bench");
  const Finished failed = daemon.cli({"replay", run_id, "--model", "none-such"});
  EXPECT_EQ(failed.exit_code, 1) << failed.out << failed.err;
  EXPECT_THAT(failed.err, HasSubstr("palyra runs show"));
  const Finished live = daemon.cli({"replay", run_id, "--tools", "live"});
  EXPECT_EQ(live.exit_code, 0) << live.err;
  EXPECT_THAT(live.out, HasSubstr("call time.now"));

  const Finished all = daemon.cli({"replay", "--all", "--since", "1d"});
  EXPECT_EQ(all.exit_code, 0) << all.out << all.err;
  EXPECT_THAT(all.out, HasSubstr("6 runs: 6 the same, 0 diverged"));
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(Replay, AnExportedRunIsReplayedOnAnotherMachine) {
  const TempDir files;
  const std::string file = files.path() + "/run.palyra";
  std::string run_id;
  {
    Daemon here;
    ASSERT_TRUE(here.start()) << here.log();
    run_id = one_run(here);
    const Finished exported = here.cli({"runs", "export", run_id, "--file", file});
    ASSERT_EQ(exported.exit_code, 0) << exported.err;
    EXPECT_THAT(exported.err, HasSubstr("palyra replay " + file));
    EXPECT_EQ(here.stop(), 0);
    EXPECT_THAT(slurp(file), Not(HasSubstr(here.token()))) << "no secret leaves with a run";
  }
  Daemon there;
  ASSERT_TRUE(there.start()) << there.log();
  const Finished same = there.cli({"replay", file});
  EXPECT_EQ(same.exit_code, 0) << same.err;
  EXPECT_THAT(same.out, HasSubstr(run_id + " the same"));
  EXPECT_THAT(there.cli({"runs", "list"}).out, Not(HasSubstr(run_id))) << "nothing is imported";
  const Finished changed = there.cli({"replay", file, "--model", "embedded/bench"});
  EXPECT_EQ(changed.exit_code, 0) << changed.err;
  EXPECT_THAT(changed.out, HasSubstr("first difference: "));
  EXPECT_EQ(there.cli({"replay", file, "--tools", "live"}).exit_code, 65);

  const std::string text = slurp(file);
  const auto refused = [&](const std::string& content, const std::string& words) {
    const Finished done = there.cli({"replay", files.write("bad.palyra", content)});
    EXPECT_EQ(done.exit_code, 65) << done.out << done.err;
    EXPECT_THAT(done.err, HasSubstr(words));
  };
  refused(text.substr(0, text.size() - 40), "cut off");
  refused("{\"stream\": \"run/1\"}\n", "not an exported run");
  refused("", "not an exported run");
  std::string altered = text;
  const size_t at = altered.find("\"payload\":\"") + 20;
  altered[at] = altered[at] == 'A' ? 'B' : 'A';
  refused(altered, "altered");
  EXPECT_EQ(there.cli({"replay", kNoSuchUlid}).exit_code, 66);
  EXPECT_EQ(there.cli({"replay", files.path() + "/none"}).exit_code, 66);
  EXPECT_EQ(there.cli({"replay"}).exit_code, 64);
  EXPECT_EQ(there.cli({"replay", "--all", "--since", "soon"}).exit_code, 64);
  EXPECT_EQ(there.cli({"replay", kNoSuchUlid, "--since", "7d"}).exit_code, 64);
  EXPECT_EQ(there.cli({"replay", kNoSuchUlid, "--limit", "7"}).exit_code, 64);
  EXPECT_EQ(there.cli({"replay", kNoSuchUlid, "--session", kNoSuchUlid}).exit_code, 64);
  EXPECT_EQ(there.stop(), 0);
}

}  // namespace
}  // namespace palyra::e2e
