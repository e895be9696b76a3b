// A conversation as a tree of turns, from the command line.
#include "tests/e2e/cli_fixture.h"

namespace palyra::e2e {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST_F(CliTest, AConversationIsATreeOfTurns) {
  const auto say = [&](const std::string& session, const std::string& text) {
    const Finished run = daemon_.cli({"-o", "json", "run", "--session", session, "/echo " + text});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return json::parse(run.out, nullptr, false);
  };
  const std::string session =
      json::parse(daemon_.cli({"-o", "json", "sessions", "new"}).out)["session_id"];
  for (const char* text : {"first", "second", "third"}) say(session, text);
  const auto turns = json::parse(daemon_.cli({"-o", "json", "sessions", "turns", session}).out);
  ASSERT_EQ(turns.size(), 3U);
  const Finished made = daemon_.cli({"-o", "json", "sessions", "branch", session, "--at",
                                     turns[2]["turn_id"], "--title", "another way"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const std::string branch = json::parse(made.out)["session_id"];
  EXPECT_EQ(daemon_.cli({"sessions", "pin", branch, "Friday it is."}).exit_code, 0);
  const std::string run = say(branch, "fourth")["run_id"];
  const Finished explained = daemon_.cli({"runs", "explain", run, "--full"});
  EXPECT_THAT(explained.out, AllOf(HasSubstr("Friday it is."), HasSubstr("first"),
                                   Not(HasSubstr("second")), HasSubstr("as sent")));
  const auto plan = json::parse(daemon_.cli({"-o", "json", "runs", "explain", run}).out);
  EXPECT_EQ(plan["contexts"][0]["segments"][0]["segment"]["kind"], "SEGMENT_KIND_PINNED");

  const Finished diff = daemon_.cli({"sessions", "diff", session, branch});
  EXPECT_EQ(diff.exit_code, 0) << diff.err;
  EXPECT_THAT(diff.out, AllOf(HasSubstr("= " + std::string(turns[2]["turn_id"])),
                              HasSubstr("\n- > /echo second\n"), HasSubstr("\n- < third\n"),
                              HasSubstr("\n+ < fourth\n"), HasSubstr(branch + " another way"),
                              HasSubstr("since then: 2 turns against 1 turn\n")));
  // On a wide terminal the two are beside each other.
  Terminal wide(with({"/bin/sh", "-c", "stty cols 100; exec \"$@\"", "sh"},
                     palyra({"sessions", "diff", session, branch})),
                {"NO_COLOR=1"});
  EXPECT_EQ(wide.finish(), 0) << wide.shown();
  EXPECT_THAT(lines_of(wide.shown()),
              Contains(AllOf(StartsWith("> /echo second "), HasSubstr(" | > /echo fourth"))))
      << wide.shown();
  const auto parted = json::parse(
      daemon_.cli({"-o", "json", "sessions", "diff", session, branch, "--limit", "1"}).out);
  EXPECT_EQ(parted["common"]["turn"]["turn_id"], turns[2]["turn_id"]);
  EXPECT_EQ(parted["left"].size(), 1U);
  EXPECT_EQ(parted["left_turns"], 2);
  EXPECT_EQ(daemon_.cli({"sessions", "diff", session, "01J9ZC3V5N8K2M4P6R7S9T0W1X"}).exit_code, 66);

  EXPECT_EQ(daemon_.cli({"sessions", "undo", session}).exit_code, 0);
  EXPECT_EQ(daemon_.cli({"sessions", "undo", session, "--redo"}).exit_code, 0);
  EXPECT_EQ(daemon_.cli({"sessions", "rewind", session, "--back", "2"}).exit_code, 0);
  EXPECT_EQ(daemon_.cli({"sessions", "rewind", session, "--back", "2"}).exit_code, 65);
  EXPECT_EQ(daemon_.cli({"sessions", "rewind", session}).exit_code, 64);
  EXPECT_THAT(daemon_.cli({"sessions", "turns", session}).out, Not(HasSubstr("third")));
  EXPECT_THAT(daemon_.cli({"sessions", "turns", session, "--all"}).out, HasSubstr("third"));
  EXPECT_THAT(daemon_.cli({"sessions", "search", "fourth"}).out, HasSubstr(branch));
  EXPECT_EQ(daemon_.cli({"sessions", "archive", branch}).exit_code, 0);
  EXPECT_THAT(daemon_.cli({"sessions", "list"}).out, Not(HasSubstr(branch)));
  EXPECT_THAT(daemon_.cli({"sessions", "list", "--archived"}).out, HasSubstr(branch));
  EXPECT_EQ(daemon_.cli({"sessions", "archive", branch, "--undo"}).exit_code, 0);
  EXPECT_THAT(daemon_.cli({"sessions", "list"}).out, HasSubstr(branch));
  const auto chat = daemon_.cli({"chat", "--session", session},
                                "/pin Be kind.\n/undo 3\n/undo \n/redo\n/branch side\n"
                                "/rewind 0\n/pin \xff\n");
  EXPECT_THAT(chat.err, AllOf(HasSubstr("Pinned."), HasSubstr("Gone back"),
                              HasSubstr("You are in a branch"), HasSubstr("number of turns"),
                              HasSubstr("/undo stands alone"), HasSubstr("not UTF-8")));
  EXPECT_THAT(daemon_.cli({"chat", "--session", session}, "/rewind 1x\n").err,
              HasSubstr("number of turns"));
}

TEST_F(CliTest, OlderTurnsAreSummarisedForTheBudgetOnCommandAndAfterAnOverflow) {
  const auto say = [&](const std::string& session, const std::string& text) {
    const Finished run = daemon_.cli({"-o", "json", "run", "--session", session, text});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return std::string(json::parse(run.out, nullptr, false).value("run_id", ""));
  };
  const auto fresh = [&] {
    return std::string(
        json::parse(daemon_.cli({"-o", "json", "sessions", "new"}).out)["session_id"]);
  };
  const std::string filler(8'000, 'x');
  const std::string long_one = fresh();
  std::string last;
  for (int i = 1; i <= 9; ++i) last = say(long_one, "/echo say" + std::to_string(i) + filler);
  EXPECT_THAT(daemon_.cli({"runs", "explain", last, "--full"}).out,
              AllOf(HasSubstr("too long for the budget"), HasSubstr("Rule-based summary of")));

  const std::string short_one = fresh();
  for (int i = 1; i <= 8; ++i) say(short_one, "/echo say" + std::to_string(i));
  EXPECT_EQ(daemon_.cli({"sessions", "pin", short_one, "The word is heron."}).exit_code, 0);
  const Finished done = daemon_.cli({"sessions", "compact", short_one});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("2 turns, "));
  EXPECT_THAT(daemon_.cli({"sessions", "turns", short_one}).out, HasSubstr("summary"));
  last = say(short_one, "/echo after");
  EXPECT_THAT(daemon_.cli({"runs", "explain", last, "--full"}).out,
              AllOf(HasSubstr("Rule-based summary of"), HasSubstr("The word is heron."),
                    HasSubstr("as sent")));
  EXPECT_EQ(daemon_.cli({"sessions", "expand", short_one}).exit_code, 0);
  last = say(short_one, "overflow this once");
  EXPECT_THAT(daemon_.cli({"runs", "explain", last}).out, HasSubstr("refused the prompt"));
}

}  // namespace
}  // namespace palyra::e2e
