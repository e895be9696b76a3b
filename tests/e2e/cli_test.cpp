// The command line as people and scripts use it: real `palyra`, real daemon, pipes and terminals.
#include "tests/e2e/audit_verifier.h"
#include "tests/e2e/run_client.h"
#include "tests/e2e/terminal.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <signal.h>
#include <sstream>
#include <sys/stat.h>

namespace palyra::e2e {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

using Words = std::vector<std::string>;

constexpr const char* kNoSuchUlid = "01J9ZC3V5N8K2M4P6R7S9T0W1X";

std::string write_call(const std::string& path) {
  return "/tool fs.write {\"path\": \"" + path +
         "\", \"expected\": \"absent\", \"content\": \"by an agent\"}";
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class CliTest : public testing::Test {
 protected:
  CliTest() : daemon_(options()) {}
  DaemonOptions options() {
    DaemonOptions options;
    const std::string script =
        files_.write("script.yaml",
                     "steps:\n"
                     "  - when: {contains: hang, in: user}\n"
                     "    text: I think\n"
                     "    hang: true\n"
                     "  - when: {contains: overflow, in: user}\n"
                     "    once: true\n"
                     "    failure: {kind: context_overflow, message: the prompt is too long}\n"
                     "  - when: {contains: attack, in: user}\n"
                     "    text: \"before\\e[2J\\e]0;owned\\a\\u009b31mafter\"\n"
                     "    tool_calls:\n"
                     "      - {name: fs.write, arguments: {path: \"a\\e[2J\\u009bb\", "
                     "expected: absent, content: x}}\n");
    options.embedded = "script = \"" + script + "\"";
    return options;
  }
  void SetUp() override { ASSERT_TRUE(daemon_.start()) << daemon_.log(); }
  void TearDown() override {
    if (daemon_.running()) {
      EXPECT_EQ(daemon_.stop(), 0) << daemon_.log();
    }
  }

  Words palyra(const Words& words) const {
    return with({build_dir() + "/bin/palyra", "--config", daemon_.config_path()}, words);
  }
  std::unique_ptr<Terminal> terminal(const Words& words, const Words& environment = {}) const {
    return std::make_unique<Terminal>(palyra(words), environment);
  }
  // One waiting run, as JSON of `palyra run`.
  json waiting_run(const std::string& path = "out.txt") {
    const Finished run = daemon_.cli({"run", "-o", "json", write_call(path)});
    EXPECT_EQ(run.exit_code, 75) << run.err;
    return json::parse(run.out, nullptr, false);
  }
  bool written(const std::string& path) const {
    return std::filesystem::exists(daemon_.workspace() + "/" + path);
  }

  TempDir files_;
  Daemon daemon_;
};

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

class SetupTest : public testing::Test {
 protected:
  Finished palyra(const Words& words, const std::string& input = "") {
    return run_program(
        with({build_dir() + "/bin/palyra"}, words), input,
        {"NO_COLOR=1", "XDG_CONFIG_HOME=" + home_.path() + "/config",
         "XDG_STATE_HOME=" + home_.path() + "/state", "HOME=" + home_.path(), "PALYRA_CONFIG="});
  }
  std::string config() const { return home_.path() + "/config/palyra/palyra.toml"; }
  TempDir home_;
};

TEST_F(SetupTest, OfflineItWritesAPrivateFileThatIsValid) {
  const Finished made =
      palyra({"setup", "--provider", "openai", "--base-url", "http://127.0.0.1:1/v1", "--api-key",
              "env:MY_KEY", "--model", "m", "--offline"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  struct stat info = {};
  ASSERT_EQ(stat(config().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_THAT(slurp(config()), HasSubstr("api_key = \"env:MY_KEY\""));
  const Finished checked = palyra({"config", "check"});
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
  const Finished again = palyra({"setup", "--provider", "embedded", "--offline"});
  EXPECT_EQ(again.exit_code, 73);
  EXPECT_THAT(again.err, HasSubstr("--force"));
  EXPECT_EQ(palyra({"setup", "--provider", "embedded", "--offline", "--force"}).exit_code, 0);
  EXPECT_THAT(slurp(config() + ".before"), HasSubstr("env:MY_KEY"));
}

TEST_F(SetupTest, ALiteralKeyIsRefusedAndInNoFile) {
  const Finished refused =
      palyra({"setup", "--provider", "openai", "--api-key", "sk-secret-thing", "--offline"});
  EXPECT_EQ(refused.exit_code, 64);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("env:NAME"), Not(HasSubstr("sk-secret"))));
  EXPECT_FALSE(std::filesystem::exists(config()));
  EXPECT_EQ(palyra({"setup", "--provider", "oracle"}).exit_code, 64);
}

TEST_F(SetupTest, WithATestCallItStartsTheDaemonAndTalks) {
  const Finished made = palyra({"setup", "--provider", "embedded", "--listen", "127.0.0.1:0"});
  EXPECT_EQ(made.exit_code, 0) << made.out << made.err;
  EXPECT_THAT(made.out, HasSubstr("It works."));
  EXPECT_EQ(palyra({"run", "hello"}).exit_code, 0);
  EXPECT_EQ(palyra({"daemon", "stop"}).exit_code, 0);
}

TEST_F(SetupTest, AKeyThatIsNotThereFailsTheTestCallWithWhatToDo) {
  const Finished made =
      palyra({"setup", "--provider", "openai", "--base-url", "http://127.0.0.1:1/v1", "--api-key",
              "env:PALYRA_ABSENT_KEY", "--model", "m", "--listen", "127.0.0.1:0"});
  EXPECT_EQ(made.exit_code, 1) << made.out << made.err;
  EXPECT_THAT(made.out, HasSubstr("edit " + config()));
  EXPECT_THAT(made.err, HasSubstr("PALYRA_ABSENT_KEY"));
  EXPECT_EQ(palyra({"daemon", "stop"}).exit_code, 0);
}

// ---- terminals

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

  EXPECT_EQ(daemon_.cli({"sessions", "undo", session}).exit_code, 0);
  EXPECT_EQ(daemon_.cli({"sessions", "undo", session, "--redo"}).exit_code, 0);
  EXPECT_EQ(daemon_.cli({"sessions", "rewind", session, "--back", "2"}).exit_code, 0);
  EXPECT_EQ(daemon_.cli({"sessions", "rewind", session, "--back", "2"}).exit_code, 65);
  EXPECT_EQ(daemon_.cli({"sessions", "rewind", session}).exit_code, 64);
  EXPECT_THAT(daemon_.cli({"sessions", "turns", session}).out, Not(HasSubstr("third")));
  EXPECT_THAT(daemon_.cli({"sessions", "turns", session, "--all"}).out, HasSubstr("third"));
  EXPECT_THAT(daemon_.cli({"sessions", "search", "fourth"}).out, HasSubstr(branch));
  const auto chat = daemon_.cli({"chat", "--session", session},
                                "/pin Be kind.\n/undo\n/redo\n/branch side\n/rewind 0\n");
  EXPECT_THAT(chat.err, AllOf(HasSubstr("Pinned."), HasSubstr("Gone back"),
                              HasSubstr("You are in a branch"), HasSubstr("number of turns")));
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

TEST_F(CliTest, TheSecondCtrlCLeavesADaemonThatDoesNotAnswer) {
  const auto screen = terminal({"run", "please hang"});
  ASSERT_TRUE(screen->wait_for("I think")) << screen->shown();
  kill(daemon_.pid(), SIGSTOP);
  screen->type("\x03");
  EXPECT_TRUE(screen->wait_for("Ctrl-C again to leave")) << screen->shown();
  screen->type("\x03");
  EXPECT_EQ(screen->finish(), 130) << screen->shown();
  kill(daemon_.pid(), SIGCONT);
}

}  // namespace
}  // namespace palyra::e2e
