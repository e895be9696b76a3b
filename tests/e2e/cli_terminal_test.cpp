// What a person at a terminal sees and types: colours, questions, a chat, Ctrl-C.
#include "tests/e2e/cli_fixture.h"
#include "tests/e2e/run_client.h"

namespace palyra::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST_F(CliTest, ColoursAreForTerminalsThatWantThem) {
  const auto shown = [&](const Words& environment) {
    const auto screen = terminal({"doctor"}, environment);
    EXPECT_EQ(screen->finish(), 0);
    return screen->shown();
  };
  EXPECT_THAT(shown({}), HasSubstr("\x1b[32mok"));
  EXPECT_THAT(shown({"NO_COLOR=1"}), AllOf(HasSubstr("ok"), Not(HasSubstr("\x1b[32m"))));
  EXPECT_THAT(shown({"TERM=dumb"}), Not(HasSubstr("\x1b[32m")));
  EXPECT_THAT(daemon_.cli({"doctor"}).out, Not(HasSubstr("\x1b")));
}

TEST_F(CliTest, AtATerminalAnApprovalIsAskedForAndOnceMeansOnce) {
  const auto screen = terminal({"run", write_call("out.txt")});
  ASSERT_TRUE(screen->wait_for("fs.write")) << screen->shown();
  ASSERT_TRUE(screen->wait_for("or [d]eny? ")) << screen->shown();
  screen->type("y\n");
  ASSERT_TRUE(screen->wait_for("or [d]eny? ")) << "y is none of the answers";
  EXPECT_FALSE(written("out.txt"));
  screen->type("o\n");
  EXPECT_EQ(screen->finish(), 0) << screen->shown();
  EXPECT_TRUE(written("out.txt"));
}

TEST_F(CliTest, AtATerminalDenyDenies) {
  const auto screen = terminal({"run", write_call("out.txt")});
  ASSERT_TRUE(screen->wait_for("or [d]eny? ")) << screen->shown();
  screen->type("d\n");
  EXPECT_EQ(screen->finish(), 0) << screen->shown();
  EXPECT_FALSE(written("out.txt"));
}

TEST_F(CliTest, InAChatAnApprovalForTheSessionHoldsAndCtrlDLeaves) {
  const auto screen = terminal({"chat"}, {"NO_COLOR=1"});
  ASSERT_TRUE(screen->wait_for("> "));
  screen->type(write_call("one.txt") + "\n");
  ASSERT_TRUE(screen->wait_for("or [d]eny? ")) << screen->shown();
  screen->type("s\n");
  ASSERT_TRUE(screen->wait_for("Rule-based summary")) << screen->shown();
  ASSERT_TRUE(screen->wait_for("session 0")) << screen->shown();
  // Keys typed before the prompt are thrown away, as by every line editor.
  ASSERT_TRUE(screen->wait_for("> ")) << screen->shown();
  screen->type(write_call("two.txt") + "\n");
  ASSERT_TRUE(screen->wait_for("Rule-based summary")) << screen->shown();
  ASSERT_TRUE(screen->wait_for("session 0")) << screen->shown();
  ASSERT_TRUE(screen->wait_for("> ")) << screen->shown();
  EXPECT_TRUE(written("two.txt"));
  EXPECT_EQ(screen->leave_by("\x15\x04"), 0) << screen->shown();
  EXPECT_THAT(screen->shown(), HasSubstr("palyra chat --session 0"));
  EXPECT_EQ(std::string::npos,
            screen->shown().find("or [d]eny?", screen->shown().find("or [d]eny?") + 1));
}

TEST_F(CliTest, InAChatWhatIsTypedDuringARunInterruptsItOrWaitsBehindIt) {
  const auto screen = terminal({"chat"}, {"NO_COLOR=1"});
  ASSERT_TRUE(screen->wait_for("> "));
  screen->type("please hang\n");
  ASSERT_TRUE(screen->wait_for("I think")) << screen->shown();
  screen->type("/queue steer\n");
  ASSERT_TRUE(screen->wait_for("messages are taken as: steer")) << screen->shown();
  screen->type("/interrupt /echo stopped\n");
  ASSERT_TRUE(screen->wait_for("message (interrupt) /echo stopped")) << screen->shown();
  ASSERT_TRUE(screen->wait_for("stopped")) << screen->shown();
  ASSERT_TRUE(screen->wait_for("session 0")) << screen->shown();
  ASSERT_TRUE(screen->wait_for("> ")) << screen->shown();
  EXPECT_EQ(screen->leave_by("\x15\x04"), 0) << screen->shown();
  const auto runs = json::parse(daemon_.cli({"-o", "json", "runs", "list"}).out);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0]["inputs_added"], 1);
}

TEST_F(CliTest, InAChatACommandThatIsTypedDuringARunIsNeverAMessage) {
  const auto screen = terminal({"chat"}, {"NO_COLOR=1"});
  ASSERT_TRUE(screen->wait_for("> "));
  screen->type("please hang\n");
  ASSERT_TRUE(screen->wait_for("I think")) << screen->shown();
  screen->type("/pin The word is heron.\n");
  ASSERT_TRUE(screen->wait_for("Pinned.")) << screen->shown();
  for (const std::string command : {"/undo", "/redo", "/rewind", "/compact"}) {
    screen->type(command + "\n");
    ASSERT_TRUE(screen->wait_for(command + " was not done: a run is active")) << screen->shown();
  }
  screen->type("/branch other\n");
  ASSERT_TRUE(screen->wait_for("You are in a branch now")) << screen->shown();
  // What is said in the branch waits for nobody; it is shown after the run. Ctrl-C would throw away
  // a line that was not read yet.
  screen->type("/echo in the branch\n/queue collect\n");
  ASSERT_TRUE(screen->wait_for("messages are taken as: collect")) << screen->shown();
  screen->type("\x03");
  ASSERT_TRUE(screen->wait_for("Cancelled.")) << screen->shown();
  ASSERT_TRUE(screen->wait_for("in the branch")) << screen->shown();
  ASSERT_TRUE(screen->wait_for("session 0")) << screen->shown();
  ASSERT_TRUE(screen->wait_for("> ")) << screen->shown();
  screen->leave_by("\x15\x04");
  const auto sessions = json::parse(daemon_.cli({"-o", "json", "sessions", "list"}).out);
  ASSERT_EQ(sessions.size(), 2u);
  const size_t branch = sessions[0]["title"] == "other" ? 0 : 1;
  EXPECT_EQ(sessions[branch]["title"], "other");
  EXPECT_THAT(screen->shown(),
              HasSubstr("palyra chat --session " + std::string(sessions[branch]["session_id"])));
  std::vector<std::string> said;
  for (const auto& run : json::parse(daemon_.cli({"-o", "json", "runs", "list"}).out)) {
    said.push_back(run["input_preview"]);
    EXPECT_EQ(run.value("inputs_added", 0), 0);
  }
  EXPECT_THAT(said, testing::ElementsAre("/echo in the branch", "please hang"));
  EXPECT_THAT(daemon_.cli({"sessions", "pins", sessions[1 - branch]["session_id"]}).out,
              HasSubstr("heron"));
}

TEST_F(CliTest, AMessageFromElsewhereSteersARunThatWaitsForAnApproval) {
  const Finished first = daemon_.cli({"-o", "json", "run", write_call("out.txt")});
  ASSERT_EQ(first.exit_code, 75) << first.err;
  const auto run = json::parse(first.out);
  const std::string session = run["session_id"];
  EXPECT_EQ(daemon_.cli({"sessions", "queue", session, "collect"}).exit_code, 0);
  EXPECT_THAT(daemon_.cli({"sessions", "show", session}).out, HasSubstr("collect"));
  const Finished more = daemon_.cli(
      {"-o", "json", "run", "--detach", "--session", session, "--queue", "steer", "/echo steered"});
  ASSERT_EQ(more.exit_code, 0) << more.err;
  const auto joined = json::parse(more.out);
  EXPECT_EQ(joined["run_id"], run["run_id"]);
  EXPECT_EQ(joined["mode"], "QUEUE_MODE_STEER");
  ASSERT_EQ(daemon_.cli({"approvals", "allow", run["approvals"][0]["approval_id"]}).exit_code, 0);
  ASSERT_EQ(daemon_.cli({"runs", "wait", run["run_id"]}).exit_code, 0);
  EXPECT_TRUE(written("out.txt"));
  EXPECT_THAT(daemon_.cli({"runs", "show", run["run_id"]}).out,
              AllOf(HasSubstr("1 more"), HasSubstr("steered")));
}

TEST_F(CliTest, CtrlCAtThePromptOfAChatLeavesAndSaysHowToGoOn) {
  const auto screen = terminal({"chat"}, {"NO_COLOR=1"});
  ASSERT_TRUE(screen->wait_for("> "));
  screen->type("hello\n");
  ASSERT_TRUE(screen->wait_for("session 0")) << screen->shown();
  ASSERT_TRUE(screen->wait_for("> ")) << screen->shown();
  screen->type("\x03");
  EXPECT_EQ(screen->finish(), 130) << screen->shown();
  EXPECT_THAT(screen->shown(), HasSubstr("Go on later with"));
}

TEST_F(CliTest, TheFirstCtrlCCancelsTheRun) {
  const auto screen = terminal({"run", "please hang"});
  ASSERT_TRUE(screen->wait_for("I think")) << screen->shown();
  screen->type("\x03");
  EXPECT_EQ(screen->finish(), 1) << screen->shown();
  EXPECT_THAT(screen->shown(), HasSubstr("Cancelled."));
  EXPECT_THAT(daemon_.cli({"runs", "list"}).out, HasSubstr("cancelled"));
}

TEST_F(CliTest, CtrlCAtAQuestionCancelsTheRunToo) {
  const auto screen = terminal({"run", write_call("out.txt")});
  ASSERT_TRUE(screen->wait_for("or [d]eny? ")) << screen->shown();
  screen->type("\x03");
  EXPECT_EQ(screen->finish(), 1) << screen->shown();
  EXPECT_THAT(screen->shown(), HasSubstr("Cancelled."));
  EXPECT_FALSE(written("out.txt"));
}

// Behind a run that waits for an approval.
TEST_F(CliTest, ACompactionThatWaitsSaysSoAndCtrlCCancelsIt) {
  const json waiting = waiting_run();
  const std::string session = waiting["session_id"];
  for (const bool chat : {false, true}) {
    const auto screen = chat ? terminal({"chat", "--session", session}, {"NO_COLOR=1"})
                             : terminal({"sessions", "compact", session});
    if (chat) {
      ASSERT_TRUE(screen->wait_for("> "));
      screen->type("/compact\n");
    }
    ASSERT_TRUE(screen->wait_for("waits behind another run")) << screen->shown();
    ASSERT_TRUE(screen->wait_for("runs list --active -s " + session)) << screen->shown();
    screen->type("\x03");
    ASSERT_TRUE(screen->wait_for("Cancelled.")) << screen->shown();
    if (chat) {
      ASSERT_TRUE(screen->wait_for("> ")) << screen->shown();
      EXPECT_EQ(screen->leave_by("\x15\x04"), 1) << screen->shown();
    } else {
      EXPECT_EQ(screen->finish(), 1) << screen->shown();
    }
  }
  EXPECT_EQ(daemon_.cli({"runs", "show", waiting["run_id"]}).exit_code, 0);
  const auto left = json::parse(daemon_.cli({"-o", "json", "runs", "list", "--active"}).out);
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0]["run_id"], waiting["run_id"]);
}

TEST_F(CliTest, TheSecondCtrlCLeavesACompactionAndSaysItsRun) {
  const std::string session = waiting_run()["session_id"];
  const auto screen = terminal({"sessions", "compact", session});
  ASSERT_TRUE(screen->wait_for("waits behind another run")) << screen->shown();
  daemon_.freeze();
  screen->type("\x03");
  EXPECT_TRUE(screen->wait_for("Ctrl-C again to leave")) << screen->shown();
  screen->type("\x03");
  EXPECT_EQ(screen->finish(), 130) << screen->shown();
  EXPECT_THAT(screen->shown(), HasSubstr("may go on; see: palyra runs show 0"));
  daemon_.thaw();
}

TEST_F(CliTest, QuietStillKeepsTwoAnswersApart) {
  const std::string session =
      json::parse(daemon_.cli({"-o", "json", "sessions", "new"}).out)["session_id"];
  const auto screen = terminal({"--quiet", "run", "--session", session, "please hang"});
  ASSERT_TRUE(screen->wait_for("I think")) << screen->shown();
  ASSERT_EQ(
      daemon_
          .cli({"run", "--detach", "--session", session, "--queue", "interrupt", "/echo stopped"})
          .exit_code,
      0);
  EXPECT_EQ(screen->finish(), 0) << screen->shown();
  EXPECT_THAT(screen->shown(), HasSubstr("\nstopped\r\n"));
}

TEST_F(CliTest, TheSecondCtrlCLeavesADaemonThatDoesNotAnswer) {
  const auto screen = terminal({"run", "please hang"});
  ASSERT_TRUE(screen->wait_for("I think")) << screen->shown();
  daemon_.freeze();
  screen->type("\x03");
  EXPECT_TRUE(screen->wait_for("Ctrl-C again to leave")) << screen->shown();
  screen->type("\x03");
  EXPECT_EQ(screen->finish(), 130) << screen->shown();
  daemon_.thaw();
}

}  // namespace
}  // namespace palyra::e2e
