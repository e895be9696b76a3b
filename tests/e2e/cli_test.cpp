// The command line as people and scripts use it: real `palyra`, real daemon, pipes.
#include "tests/e2e/audit_verifier.h"
#include "tests/e2e/cli_fixture.h"
#include "tests/e2e/run_client.h"

#include <algorithm>
#include <signal.h>
#include <sys/stat.h>

namespace palyra::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST_F(CliTest, WithoutADaemonEveryCommandSaysSoInOneSentence) {
  ASSERT_EQ(daemon_.stop(), 0);
  for (const Words& words : {Words{"run", "hi"},
                             {"run", "--detach", "hi"},
                             {"chat"},
                             {"status"},
                             {"sessions", "list"},
                             {"sessions", "show", kNoSuchUlid},
                             {"sessions", "new"},
                             {"sessions", "queue", kNoSuchUlid, "steer"},
                             {"sessions", "turns", kNoSuchUlid},
                             {"sessions", "branch", kNoSuchUlid},
                             {"sessions", "undo", kNoSuchUlid},
                             {"sessions", "compact", kNoSuchUlid},
                             {"sessions", "search", "word"},
                             {"runs", "explain", kNoSuchUlid},
                             {"runs", "list"},
                             {"runs", "show", kNoSuchUlid},
                             {"runs", "cancel", kNoSuchUlid},
                             {"runs", "attach", kNoSuchUlid},
                             {"runs", "wait", kNoSuchUlid},
                             {"tape", "show", kNoSuchUlid},
                             {"tape", "export", kNoSuchUlid},
                             {"tape", "verify", kNoSuchUlid},
                             {"audit", "verify"},
                             {"audit", "export"},
                             {"audit", "witness"},
                             {"audit", "key"},
                             {"approvals", "list"},
                             {"approvals", "allow", kNoSuchUlid},
                             {"approvals", "deny", kNoSuchUlid},
                             {"agents", "list"},
                             {"models", "list"},
                             {"plugins", "list"},
                             {"plugins", "show", "x"},
                             {"config", "show"}}) {
    const Finished said = daemon_.cli(words, "hi\n");
    EXPECT_EQ(said.exit_code, 69) << words[0];
    EXPECT_EQ(said.out, "") << words[0];
    EXPECT_EQ(lines_of(said.err).size(), 1u) << said.err;
    EXPECT_THAT(said.err, HasSubstr("palyra daemon start")) << words[0];
  }
  EXPECT_EQ(daemon_.cli({"daemon", "status"}).exit_code, 69);
  EXPECT_EQ(daemon_.cli({"daemon", "stop"}).exit_code, 0);
}

TEST_F(CliTest, AKilledDaemonIsNotTakenForARunningOne) {
  daemon_.kill_now();
  EXPECT_EQ(daemon_.cli({"daemon", "status"}).exit_code, 69);
  // Somebody else has the pid now.
  files_.write("x", "");
  std::ofstream(daemon_.state_dir() + "/palyrad.pid") << getpid() << "\n";
  EXPECT_EQ(daemon_.cli({"daemon", "status"}).exit_code, 69);
  const Finished stopped = daemon_.cli({"daemon", "stop"});
  EXPECT_EQ(stopped.exit_code, 0);
  EXPECT_THAT(stopped.out, HasSubstr("No daemon runs"));
  const Finished run = daemon_.cli({"run", "hi"});
  EXPECT_EQ(run.exit_code, 69);
  EXPECT_THAT(run.err, HasSubstr("no daemon answers at"));
}

TEST_F(CliTest, AWrongCommandLineIs64) {
  for (const Words& words : {Words{},
                             {"rnu", "hi"},
                             {"run"},
                             {"run", "hi", "--no-such"},
                             {"-o", "xml", "status"},
                             {"runs", "list", "--limit", "0"},
                             {"run", ""},
                             {"run", "--approve", "maybe", "hi"},
                             {"daemon"},
                             {"runs", "show"},
                             {"completion", "csh"},
                             {"run", "--detach", "--approve=all", "hi"},
                             {"--endpoint", "example.com:7443", "status"},
                             {"approvals", "allow", kNoSuchUlid, "--scope", "always"}}) {
    const Finished said = daemon_.cli(words);
    EXPECT_EQ(said.exit_code, 64) << (words.empty() ? "" : words[0]) << said.out << said.err;
    EXPECT_NE(said.err + said.out, "");
  }
}

TEST_F(CliTest, AMistypedCommandIsAnsweredByTheNearestOne) {
  EXPECT_THAT(daemon_.cli({"rnu", "hi"}).err,
              HasSubstr("no command 'rnu'; did you mean 'run'? See: palyra --help"));
  EXPECT_THAT(daemon_.cli({"runs", "lsit"}).err,
              HasSubstr("no command 'lsit'; did you mean 'list'? See: palyra runs --help"));
  EXPECT_THAT(run_program({build_dir() + "/bin/palyra"}).err, HasSubstr("Examples:"));
  EXPECT_THAT(daemon_.cli({"runs", "show", "--help"}).out, Not(HasSubstr("Examples:")))
      << "those of the program, not of this command";
}

TEST_F(CliTest, EveryReadingCommandSpeaksTextJsonAndNdjson) {
  const Finished other = daemon_.cli({"run", "-o", "json", "hello"});
  ASSERT_EQ(other.exit_code, 0);
  const std::string other_session = json::parse(other.out)["session_id"];
  const json run = waiting_run();
  const std::string run_id = run["run_id"];
  const std::string session_id = run["session_id"];
  for (const Words& words : {Words{"status"},
                             {"doctor"},
                             {"daemon", "status"},
                             {"sessions", "list"},
                             {"sessions", "show", session_id},
                             {"sessions", "new", "--title", "a title"},
                             {"sessions", "rename", session_id, "another"},
                             {"runs", "list"},
                             {"runs", "list", "--active"},
                             {"runs", "list", "--session", session_id},
                             {"runs", "show", run_id},
                             {"tape", "show", run_id},
                             {"tape", "show", "--full", run_id},
                             {"tape", "show", "--session", session_id},
                             {"tape", "verify", run_id},
                             {"tape", "verify", "--session", session_id},
                             {"approvals", "list"},
                             {"approvals", "list", "--all"},
                             {"agents", "list"},
                             {"models", "list"},
                             {"models", "list", "--probe"},
                             {"plugins", "list"},
                             {"plugins", "show", "gateway"},
                             {"config", "show"},
                             {"config", "check"},
                             {"version"},
                             {"run", "hello"},
                             {"sessions", "reset", other_session}}) {
    const Finished text = daemon_.cli(words);
    EXPECT_EQ(text.exit_code, 0) << words[0] << text.err;
    EXPECT_NE(text.out, "") << words[0];
    const Finished one = daemon_.cli(with(words, {"-o", "json"}));
    EXPECT_EQ(one.exit_code, 0) << one.err;
    EXPECT_FALSE(json::parse(one.out, nullptr, false).is_discarded()) << words[0] << one.out;
    const Finished many = daemon_.cli(with(words, {"-o", "ndjson"}));
    EXPECT_EQ(many.exit_code, 0) << many.err;
    for (const std::string& line : lines_of(many.out)) {
      EXPECT_FALSE(json::parse(line, nullptr, false).is_discarded()) << words[0] << line;
    }
  }
  const Finished cancelled = daemon_.cli({"runs", "cancel", run_id, "-o", "json"});
  EXPECT_EQ(cancelled.exit_code, 0);
  EXPECT_THAT(cancelled.out, HasSubstr("RUN_STATE_"));
  EXPECT_EQ(daemon_.cli({"runs", "wait", run_id}).exit_code, 1);
  EXPECT_THAT(daemon_.cli({"runs", "show", run_id}).out, HasSubstr("cancelled"));
}

TEST_F(CliTest, ListsThatAreEmptyAreEmptyInEveryForm) {
  EXPECT_THAT(daemon_.cli({"runs", "list"}).out, HasSubstr("No runs."));
  EXPECT_EQ(daemon_.cli({"runs", "list", "-o", "json"}).out, "[]\n");
  EXPECT_EQ(daemon_.cli({"runs", "list", "-o", "ndjson"}).out, "");
  EXPECT_THAT(daemon_.cli({"approvals", "list"}).out, HasSubstr("Nothing waits"));
}

TEST_F(CliTest, AListGoesOverPagesUpToItsLimit) {
  for (int i = 0; i < 3; ++i) ASSERT_EQ(daemon_.cli({"sessions", "new"}).exit_code, 0);
  const auto sessions = [&](const char* limit) {
    return json::parse(daemon_.cli({"sessions", "list", "-o", "json", "--limit", limit}).out,
                       nullptr, false);
  };
  EXPECT_EQ(sessions("2").size(), 2u);
  EXPECT_EQ(sessions("1000").size(), 3u);
}

TEST_F(CliTest, WhatDoesNotExistIs66) {
  for (const Words& words : {Words{"runs", "show", kNoSuchUlid},
                             {"runs", "attach", kNoSuchUlid},
                             {"sessions", "show", kNoSuchUlid},
                             {"tape", "show", kNoSuchUlid},
                             {"tape", "show", "-o", "json", kNoSuchUlid},
                             {"tape", "verify", kNoSuchUlid},
                             {"approvals", "allow", kNoSuchUlid},
                             {"run", "--agent", "nobody", "hi"},
                             {"plugins", "show", "nobody"},
                             {"run", "--session", kNoSuchUlid, "hi"}}) {
    const Finished said = daemon_.cli(words);
    EXPECT_EQ(said.exit_code, 66) << words[0] << " " << words[1] << said.err;
    EXPECT_EQ(said.out, "") << words[0];
    EXPECT_EQ(lines_of(said.err).size(), 1u) << said.err;
  }
  EXPECT_EQ(daemon_.cli({"runs", "show", "17"}).exit_code, 65);
}

TEST_F(CliTest, AWrongTokenIs77AndNeverPrinted) {
  const Finished said =
      run_program(palyra({"status"}), "", {"PALYRA_TOKEN=wrong-but-secret", "NO_COLOR=1"});
  EXPECT_EQ(said.exit_code, 77);
  EXPECT_THAT(said.err, AllOf(HasSubstr("token is not valid"), Not(HasSubstr("but-secret"))));
}

TEST_F(CliTest, WithoutATerminalARunWaitsAndThePrintedLinesWork) {
  const Finished run = daemon_.cli({"run", write_call("out.txt")});
  EXPECT_EQ(run.exit_code, 75);
  std::string allow;
  std::string attach;
  for (const std::string& line : lines_of(run.err)) {
    if (line.rfind("  palyra approvals allow ", 0) == 0) allow = line.substr(25);
    if (line.rfind("  palyra runs attach ", 0) == 0) attach = line.substr(21);
  }
  EXPECT_FALSE(written("out.txt"));
  EXPECT_EQ(daemon_.cli({"runs", "wait", attach}).exit_code, 75) << "it waits";
  const Finished allowed = daemon_.cli({"approvals", "allow", allow});
  EXPECT_EQ(allowed.exit_code, 0) << run.err << allowed.err;
  EXPECT_EQ(allowed.out, "allowed fs.write\n");
  const Finished attached = daemon_.cli({"runs", "attach", attach});
  EXPECT_EQ(attached.exit_code, 0) << attached.err;
  EXPECT_TRUE(written("out.txt"));
  EXPECT_THAT(attached.out, HasSubstr("Rule-based summary"));
  const Finished again = daemon_.cli({"approvals", "deny", allow});
  EXPECT_EQ(again.exit_code, 65);
  EXPECT_THAT(again.err, HasSubstr("was decided already"));
}

TEST_F(CliTest, TheJsonOfAWaitingRunHasWhatAScriptNeeds) {
  const json run = waiting_run();
  EXPECT_EQ(run["state"], "waiting");
  EXPECT_EQ(run["exit_code"], 75);
  ASSERT_EQ(run["approvals"].size(), 1u);
  EXPECT_EQ(run["approvals"][0]["tool"], "fs.write");
  const std::string approval = run["approvals"][0]["approval_id"];
  EXPECT_EQ(daemon_.cli({"approvals", "deny", approval, "--reason", "not today"}).exit_code, 0);
  EXPECT_EQ(daemon_.cli({"runs", "wait", run["run_id"]}).exit_code, 0);
  EXPECT_FALSE(written("out.txt"));
}

TEST_F(CliTest, ApproveAllAllowsAndApproveDenyDenies) {
  const Finished all = daemon_.cli({"run", "--approve=all", write_call("all.txt")});
  EXPECT_EQ(all.exit_code, 0) << all.err;
  EXPECT_TRUE(written("all.txt"));
  const Finished deny = daemon_.cli({"run", "--approve=deny", write_call("deny.txt")});
  EXPECT_EQ(deny.exit_code, 0) << deny.err;
  EXPECT_FALSE(written("deny.txt"));
  const json waiting = waiting_run("attached.txt");
  const Finished attached =
      daemon_.cli({"runs", "attach", "--approve=deny", waiting["run_id"].get<std::string>()});
  EXPECT_EQ(attached.exit_code, 0) << attached.err;
  EXPECT_FALSE(written("attached.txt"));
  // What was decided long ago is not decided again.
  const Finished later =
      daemon_.cli({"runs", "attach", "--approve=all", waiting["run_id"].get<std::string>()});
  EXPECT_EQ(later.exit_code, 0);
  EXPECT_THAT(later.err, Not(HasSubstr("decided already")));
}

TEST_F(CliTest, ADashReadsStandardInput) {
  const Finished run = daemon_.cli({"run", "-"}, "/echo several\nlines\n");
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "several\nlines\n");
  EXPECT_EQ(daemon_.cli({"run", "-"}, "").exit_code, 64);
}

TEST_F(CliTest, AMessageThatIsTooLongOrNoTextIs65AndSaysWhatToDo) {
  const Finished big = daemon_.cli({"run", "-"}, std::string(2 << 20, 'x'));
  EXPECT_EQ(big.exit_code, 65);
  EXPECT_THAT(big.err, HasSubstr("at most 1048576"));
  const Finished binary = daemon_.cli({"run", "-"}, "\xff\xfe");
  EXPECT_EQ(binary.exit_code, 65);
  EXPECT_THAT(binary.err, HasSubstr("UTF-8"));
  EXPECT_EQ(daemon_.cli({"run", "-"}, std::string("a\0b", 3)).exit_code, 65);
}

TEST_F(CliTest, AnArgumentThatIsNoTextIs65AndNamed) {
  for (const Words& words : {Words{"sessions", "rename", kNoSuchUlid, "\xff"},
                             {"sessions", "search", "\xc3"},
                             {"run", "--session", "\xff", "hi"}}) {
    const Finished said = daemon_.cli(words);
    EXPECT_EQ(said.exit_code, 65) << words[1];
    EXPECT_THAT(said.err, AllOf(HasSubstr("argument"), HasSubstr("is not UTF-8 text"),
                                Not(HasSubstr("libprotobuf"))));
  }
}

TEST_F(CliTest, ADetachedMessageSaysHowItWasTaken) {
  const std::string session = waiting_run()["session_id"];
  const auto said = [&](const std::string& to, const char* mode) {
    return daemon_.cli({"run", "--detach", "--session", to, "--queue", mode, "/echo x"}).err;
  };
  EXPECT_THAT(said(session, "follow-up"), HasSubstr("waits behind the active run (follow-up)"));
  EXPECT_THAT(said(session, "steer"), HasSubstr("joined the active run (steer)"));
  const std::string fresh =
      json::parse(daemon_.cli({"-o", "json", "sessions", "new"}).out)["session_id"];
  EXPECT_THAT(said(fresh, "steer"), HasSubstr("No run was active"));
}

TEST_F(CliTest, ListsOfNdjsonHaveOneElementALine) {
  const std::string session =
      json::parse(daemon_.cli({"-o", "json", "sessions", "new"}).out)["session_id"];
  EXPECT_EQ(daemon_.cli({"-o", "ndjson", "sessions", "pins", session}).out, "");
  for (const char* fact : {"one", "two"}) {
    ASSERT_EQ(daemon_.cli({"sessions", "pin", session, fact}).exit_code, 0);
  }
  const auto pins = lines_of(daemon_.cli({"-o", "ndjson", "sessions", "pins", session}).out);
  ASSERT_EQ(pins.size(), 2U);
  EXPECT_EQ(json::parse(pins[1])["text"], "two");
  EXPECT_EQ(json::parse(daemon_.cli({"-o", "ndjson", "agents"}).out)["agent_id"], "main");
  EXPECT_GT(lines_of(daemon_.cli({"-o", "ndjson", "plugins"}).out).size(), 2U);
}

TEST_F(CliTest, ADetachedRunGoesOnAndCanBeWaitedFor) {
  const Finished run = daemon_.cli({"run", "--detach", "-o", "json", "/echo far away"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const std::string run_id = json::parse(run.out)["run_id"];
  const Finished waited = daemon_.cli({"runs", "wait", run_id});
  EXPECT_EQ(waited.exit_code, 0) << waited.err;
  EXPECT_THAT(waited.out, AllOf(HasSubstr("completed"), HasSubstr("far away")));
  EXPECT_EQ(daemon_.cli({"run", "--detach", "hello", "--idempotency-key", "k"}).out,
            daemon_.cli({"run", "--detach", "hello", "--idempotency-key", "k"}).out);
}

TEST_F(CliTest, AWaitThatRunsOutOfTimeSaysSoWithACodeOfItsOwn) {
  const Finished run = daemon_.cli({"run", "--detach", "-o", "json", "please hang"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const std::string run_id = json::parse(run.out)["run_id"];
  const Finished waited = daemon_.cli({"runs", "wait", run_id, "--timeout", "1"});
  EXPECT_EQ(waited.exit_code, 124) << waited.err;
  EXPECT_THAT(waited.err, HasSubstr("has not ended after 1 second"));
  EXPECT_EQ(daemon_.cli({"runs", "cancel", run_id}).out, "cancelling\n");
  EXPECT_EQ(daemon_.cli({"runs", "wait", run_id}).exit_code, 1);
  EXPECT_EQ(daemon_.cli({"runs", "cancel", run_id}).out, "cancelled\n");
  EXPECT_THAT(daemon_.cli({"runs", "list", "--active"}).out, HasSubstr("No run is active."));
}

TEST_F(CliTest, ASearchPrintsNoMoreThanItsLimit) {
  // Titles and what was said are found apart.
  for (int i = 0; i < 2; ++i) ASSERT_EQ(daemon_.cli({"run", "/echo heron"}).exit_code, 0);
  const Finished found = daemon_.cli({"sessions", "search", "heron", "--limit", "1"});
  EXPECT_EQ(lines_of(found.out).size(), 2U) << "a head and one line\n" << found.out;
  EXPECT_THAT(found.err, HasSubstr("There are more"));
}

TEST_F(CliTest, ChatFromAPipeIsOneSession) {
  const Finished chat = daemon_.cli({"chat"}, "/echo one\n\n/echo two\n");
  EXPECT_EQ(chat.exit_code, 0) << chat.err;
  EXPECT_EQ(chat.out, "one\ntwo\n");
  const auto sessions = json::parse(daemon_.cli({"sessions", "list", "-o", "json"}).out);
  ASSERT_EQ(sessions.size(), 1u);
  EXPECT_EQ(sessions[0]["turns"], 2);
}

TEST_F(CliTest, AnExportedTapeVerifiesWithoutPalyra) {
  const Finished run = daemon_.cli({"run", "-o", "json", "--approve=all", write_call("out.txt")});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const std::string run_id = json::parse(run.out)["run_id"];
  const std::string session_id = json::parse(run.out)["session_id"];
  const std::string file = files_.path() + "/tape.ndjson";
  const Finished saved = daemon_.cli({"tape", "export", run_id, "--file", file});
  ASSERT_EQ(saved.exit_code, 0) << saved.err;
  const std::string tape = slurp(file);
  EXPECT_EQ(tape, daemon_.cli({"tape", "export", run_id}).out);
  std::string head;
  int records = 0;
  EXPECT_EQ(verify_export(tape, &head, &records), "");
  EXPECT_GT(records, 5);
  const json verified = json::parse(daemon_.cli({"tape", "verify", "-o", "json", run_id}).out);
  EXPECT_EQ(verified["head_hash"], head);
  EXPECT_EQ(verified["records"], std::to_string(records));
  EXPECT_EQ(
      verify_export(daemon_.cli({"tape", "export", "--session", session_id}).out, &head, &records),
      "");

  // The verifier finds what was changed.
  std::string altered = tape;
  const size_t at = altered.find("\"type\":\"run_started\"");
  ASSERT_NE(at, std::string::npos);
  altered.replace(at, 20, "\"type\":\"run_stopped\"");
  EXPECT_THAT(verify_export(altered, &head, &records), HasSubstr("was altered"));
  EXPECT_THAT(verify_export(tape.substr(tape.find('\n') + 1), &head, &records), HasSubstr("seq"));

  EXPECT_EQ(daemon_.cli({"tape", "export", run_id, "--file", "/nonexistent/x"}).exit_code, 73);
}

TEST_F(CliTest, AFullDiskBehindStandardOutputIsAnError) {
  ASSERT_EQ(daemon_.cli({"run", "hello"}).exit_code, 0);
  const Finished full = run_program(
      {"/bin/sh", "-c",
       build_dir() + "/bin/palyra --config " + daemon_.config_path() + " runs list > /dev/full"});
  EXPECT_EQ(full.exit_code, 74);
  EXPECT_THAT(full.err, HasSubstr("standard output"));
}

TEST_F(CliTest, ConfigShowKeepsSecretsAsReferences) {
  ASSERT_EQ(daemon_.stop(), 0);
  const std::string key = files_.write("key", "sk-from-a-file\n");
  daemon_.write_config(daemon_.config() + "[plugins.paid]\nuse = \"dev.palyra.openai\"\n" +
                       "[plugins.paid.config]\napi_key = \"file:" + key + "\"\n");
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  const Finished shown = daemon_.cli({"config", "show"});
  EXPECT_EQ(shown.exit_code, 0);
  EXPECT_THAT(shown.out, AllOf(HasSubstr("file:" + key), Not(HasSubstr("sk-from")),
                               Not(HasSubstr(daemon_.token()))));
}

TEST_F(CliTest, DoctorSaysWhereEverythingIsWithAndWithoutADaemon) {
  const Finished well = daemon_.cli({"doctor"});
  EXPECT_EQ(well.exit_code, 0) << well.out;
  EXPECT_THAT(well.out, AllOf(HasSubstr(daemon_.config_path()), HasSubstr(daemon_.state_dir()),
                              HasSubstr(daemon_.endpoint()), Not(HasSubstr("fail"))));
  ASSERT_EQ(daemon_.stop(), 0);
  const Finished without = daemon_.cli({"doctor"});
  EXPECT_EQ(without.exit_code, 69);
  EXPECT_THAT(without.out, AllOf(HasSubstr("palyra daemon start"), HasSubstr("is fine")));
  daemon_.edit_config("[gateway]", "[gateway]\nmodle = \"x/y\"");
  const Finished broken = daemon_.cli({"doctor", "-o", "json"});
  EXPECT_EQ(broken.exit_code, 69);
  const json checks = json::parse(broken.out)["checks"];
  EXPECT_THAT(checks.dump(), HasSubstr("did you mean 'model'?"));
}

TEST_F(CliTest, ControlCharactersOfAModelNeverReachTheTerminal) {
  const Finished text = daemon_.cli({"run", "attack"});
  EXPECT_EQ(text.exit_code, 75) << text.err;
  EXPECT_EQ(text.out, "before[2J]0;owned31mafter\n");
  const json run = json::parse(daemon_.cli({"run", "-o", "json", "attack"}).out);
  const std::string run_id = run["run_id"];
  for (const Words& words : {Words{"run", "attack"},
                             {"run", "-o", "json", "attack"},
                             {"run", "-o", "ndjson", "attack"},
                             {"run", "/echo \x1b[2J\xc2\x9b"},
                             {"approvals", "list"},
                             {"approvals", "list", "-o", "json"},
                             {"tape", "show", "--full", run_id},
                             {"tape", "show", "-o", "json", run_id},
                             {"runs", "show", run_id},
                             {"runs", "list"},
                             {"daemon", "logs"}}) {
    const Finished said = daemon_.cli(words);
    const std::string all = said.out + said.err;
    EXPECT_EQ(all.find('\x1b'), std::string::npos) << words[0];
    EXPECT_EQ(all.find("\xc2\x9b"), std::string::npos) << words[0];
    EXPECT_EQ(all.find('\a'), std::string::npos) << words[0];
  }
}

TEST_F(CliTest, CompletionScriptsAreValidAndComplete) {
  const std::string bash = files_.write("palyra.bash", daemon_.cli({"completion", "bash"}).out);
  EXPECT_EQ(run_program({"/bin/bash", "-n", bash}).exit_code, 0);
  const auto complete = [&](const std::string& words, int last) {
    return run_program({"/bin/bash", "-c",
                        "source " + bash + "; COMP_WORDS=(" + words + "); COMP_CWORD=" +
                            std::to_string(last) + "; _palyra; echo ${COMPREPLY[@]}"})
        .out;
  };
  EXPECT_EQ(complete("palyra ses", 1), "sessions\n");
  EXPECT_EQ(complete("palyra sessions re", 2), "rename reset rewind\n");
  EXPECT_EQ(complete("palyra run --appr", 2), "--approve\n");
  EXPECT_EQ(complete("palyra run hello --det", 3), "--detach\n");
  for (const char* shell : {"zsh", "fish"}) {
    const Finished script = daemon_.cli({"completion", shell});
    EXPECT_EQ(script.exit_code, 0);
    EXPECT_THAT(script.out, AllOf(HasSubstr("sessions"), HasSubstr("--approve")));
  }
}

TEST_F(CliTest, TheDaemonStartsLogsAndStopsByTheCommandLine) {
  ASSERT_EQ(daemon_.stop(), 0);
  const Finished started = daemon_.cli({"daemon", "start", "-o", "json"});
  ASSERT_EQ(started.exit_code, 0) << started.err;
  EXPECT_EQ(json::parse(started.out)["running"], true);
  EXPECT_EQ(daemon_.cli({"daemon", "status"}).exit_code, 0);
  EXPECT_EQ(daemon_.cli({"run", "hello"}).exit_code, 0);
  const Finished logs = daemon_.cli({"daemon", "logs", "-n", "2"});
  EXPECT_EQ(logs.exit_code, 0);
  EXPECT_EQ(lines_of(logs.out).size(), 2u);
  EXPECT_THAT(logs.out, HasSubstr("ready in"));
  struct stat info = {};
  ASSERT_EQ(stat(daemon_.state_dir().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  const Finished stopped = daemon_.cli({"daemon", "stop", "-o", "json"});
  EXPECT_EQ(stopped.exit_code, 0);
  EXPECT_EQ(json::parse(stopped.out)["running"], false);
  daemon_.edit_config("[gateway]", "[gateway]\nmodle = \"x/y\"");
  const Finished failed = daemon_.cli({"daemon", "start"});
  EXPECT_EQ(failed.exit_code, 78);
  EXPECT_THAT(failed.err, HasSubstr("did you mean 'model'?"));
}

}  // namespace
}  // namespace palyra::e2e
