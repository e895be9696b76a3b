// palyra: the command line. This file says how commands are spelled; the others what they do.
#include "clients/cli/commands.h"
#include "clients/cli/completion.h"
#include "clients/cli/connection.h"
#include "clients/cli/daemon_process.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/text.h"
#include "clients/cli/version.h"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <cstdlib>
#include <functional>

namespace palyra::cli {
namespace {

constexpr int kDefaultListLimit = 50;

// The tree of commands. Whichever is given leaves its work in `action`.
class Commands {
 public:
  Commands() : app_("Palyra: runs AI agents on your own machine, every step on a durable tape.") {
    app_.name("palyra");
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.set_version_flag("--version", std::string("palyra ") + kVersion);
    app_.add_option("--config", global_.config, "palyra.toml to use");
    app_.add_option("--state-dir", global_.state_dir, "state directory of the daemon");
    app_.add_option("--endpoint", global_.endpoint, "host:port of the daemon");
    app_.add_option("--output,-o", output_, "text, json or ndjson")
        ->check(CLI::IsMember({"text", "json", "ndjson"}))
        ->capture_default_str();
    app_.add_flag("--quiet,-q", global_.quiet, "only the answer");
    add_setup();
    add_daemon();
    add_run();
    add_sessions();
    add_runs();
    add_replay();
    add_tape();
    add_approvals();
    add_audit();
    add_storage();
    add_admin();
    add_backup();
    add_completion();
    // Last, because a command takes over the footer of its parent.
    app_.footer(
        "Examples:\n"
        "  palyra setup                             choose a model\n"
        "  palyra daemon start\n"
        "  palyra run \"what is in my workspace?\"\n"
        "  git diff | palyra run -                  the message from standard input\n"
        "  palyra approvals allow ID\n\n"
        "Exit codes: 0 done, 1 the run failed, 64 usage, 65 refused, 66 not found, 69 no "
        "daemon,\n73 and 74 cannot write, 75 waits for an approval, 76 the store is damaged, 77 no "
        "permission, 78 "
        "configuration, 124 time over, 130 "
        "left by Ctrl-C.");
  }

  int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      if (is_utf8(argv[i])) continue;
      return complain("argument " + std::to_string(i) + " is not UTF-8 text: " + one_line(argv[i]) +
                          "; convert it first, for example with iconv",
                      kExitInvalid);
    }
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
      if (argc == 1) {
        std::fputs(app_.help().c_str(), stderr);
        return kExitUsage;
      }
      if (const std::string unknown = unknown_command(); !unknown.empty()) {
        return complain(unknown, kExitUsage);
      }
      const int code = app_.exit(problem);
      return code == 0 ? kExitOk : kExitUsage;
    }
    global_.output = output_ == "json"     ? Output::kJson
                     : output_ == "ndjson" ? Output::kNdjson
                                           : Output::kText;
    if (const char* token = std::getenv("PALYRA_TOKEN")) global_.token = token;
    const int code = action_();
    // A full disk behind a redirection is an error like any other.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      return complain("standard output could not be written", code == kExitOk ? kExitIo : code);
    }
    return code;
  }

 private:
  // A sentence if a word stands where a command should; empty if the mistake is another one.
  std::string unknown_command() const {
    const CLI::App* group = &app_;
    std::string path = "palyra";
    while (!group->get_subcommands().empty()) {
      group = group->get_subcommands().front();
      path += " " + group->get_name();
    }
    const auto commands = group->get_subcommands([](const CLI::App*) { return true; });
    std::string word;
    for (const std::string& left : app_.remaining(true)) {
      if (word.empty() && left.rfind('-', 0) != 0) word = left;
    }
    if (commands.empty() || word.empty()) return "";
    std::vector<std::string> names;
    for (const CLI::App* command : commands) names.push_back(command->get_name());
    const std::string near = nearest(word, names);
    return "there is no command '" + word + "'" +
           (near.empty() ? "; see: " + path + " --help"
                         : "; did you mean '" + near + "'? See: " + path + " --help");
  }
  CLI::App* add(CLI::App* parent, const std::string& name, const std::string& help,
                std::function<int()> action) {
    auto* command = parent->add_subcommand(name, help);
    command->callback([this, action = std::move(action)] { action_ = action; });
    return command;
  }
  // With `bare`, the group's name alone does that: lists are what one asks for most.
  CLI::App* group(const std::string& name, const std::string& help,
                  std::function<int()> bare = nullptr) {
    auto* command = app_.add_subcommand(name, help);
    command->fallthrough();
    if (!bare) {
      command->require_subcommand(1);
      return command;
    }
    command->require_subcommand(0, 1);
    command->callback([this, command, bare = std::move(bare)] {
      if (command->get_subcommands().empty()) action_ = bare;
    });
    return command;
  }
  void add_approve(CLI::App* command) {
    command
        ->add_option("--approve", run_.approve,
                     "what needs an approval: ask (exit 75 without a terminal), deny, all")
        ->check(CLI::IsMember({"ask", "deny", "all"}))
        ->capture_default_str();
  }
  void add_limit(CLI::App* command) {
    command->add_option("--limit", limit_, "entries at most")->check(CLI::Range(1, 100000));
  }

  void add_setup() {
    auto* command = add(&app_, "setup", "write palyra.toml and make one test call",
                        [this] { return setup(global_, setup_); });
    command->add_option("--provider", setup_.provider, "openai or embedded");
    command->add_option("--base-url", setup_.base_url, "of an OpenAI-compatible endpoint");
    command->add_option("--api-key", setup_.api_key, "env:NAME or file:PATH, or none");
    command->add_option("--model", setup_.model, "such as gpt-4o-mini");
    command->add_option("--listen", setup_.listen, "host:port of the API; default 127.0.0.1:7443");
    command->add_flag("--force", setup_.force, "replace an existing file");
    command->add_flag("--offline", setup_.offline, "no test call");
    command->footer(
        "Example:\n  palyra setup --provider openai --base-url http://127.0.0.1:11434/v1 "
        "--api-key none --model llama3.2");
  }
  void add_daemon() {
    auto* daemon = group("daemon", "start, stop and watch the daemon");
    add(daemon, "start", "start it and wait until it serves",
        [this] { return start_daemon(global_); });
    auto* stop = add(daemon, "stop", "let it finish what is in flight, then stop it",
                     [this] { return stop_daemon(global_, seconds_); });
    stop->add_option("--wait", seconds_, "seconds to wait")->check(CLI::Range(1, 3600));
    add(daemon, "status", "does it run?", [this] { return daemon_status(global_); });
    auto* logs = add(daemon, "logs", "its last log lines",
                     [this] { return print_logs(global_, limit_, flag_); });
    logs->add_option("--lines,-n", limit_, "lines")->check(CLI::Range(1, 100000));
    logs->add_flag("--follow,-f", flag_, "go on as they come");
  }
  void add_run() {
    auto* command = add(&app_, "run", "one message, one streamed answer",
                        [this] { return run(global_, run_); });
    command->add_option("text", run_.text, "the message; - reads standard input")->required();
    command->add_option("--session,-s", run_.session, "go on in this session");
    command->add_option("--agent,-a", run_.agent, "agent to run");
    command->add_option("--model,-m", run_.model, "instance/model for this run");
    command->add_option("--idempotency-key", run_.idempotency_key,
                        "the same key gives the first run again");
    command->add_flag("--detach,-d", run_.detach, "answer with the ids and go");
    command
        ->add_option("--queue", run_.queue,
                     "if a run of the session is active: follow-up, collect, steer, interrupt; "
                     "default: the session's")
        ->check(CLI::IsMember({"follow-up", "collect", "steer", "interrupt"}));
    add_approve(command);
    command->footer(
        "Examples:\n  palyra run \"summarise notes.txt\"\n"
        "  palyra run --approve=all --output json \"tidy the workspace\"\n"
        "  palyra run --session ID --queue steer \"only the .txt files\"\n"
        "Ctrl-C cancels the run; once more leaves it.");
    auto* talk = add(&app_, "chat", "a conversation, one message a line",
                     [this] { return chat(global_, run_); });
    talk->add_option("--session,-s", run_.session, "go on in this session");
    talk->add_option("--agent,-a", run_.agent, "agent to talk to");
    talk->add_option("--model,-m", run_.model, "instance/model");
    add_approve(talk);
    talk->footer(
        "While a run is active, what you type is taken as the session's queue mode says:\n"
        "  /steer TEXT      the run sees it in its next turn\n"
        "  /interrupt TEXT  what it does now is stopped first\n"
        "  /queue MODE      follow-up, collect, steer or interrupt, from now on\n"
        "At any time:\n"
        "  /branch TITLE            go on in a branch of it, which begins after its last turn\n"
        "  /pin TEXT                keep a fact word for word\n"
        "While no run is active:\n"
        "  /undo, /rewind N, /redo  go back in the conversation; what tools did stays done\n"
        "  /compact                 summarise older turns");
  }
  void add_sessions() {
    auto* sessions = group("sessions", "conversations", [this] {
      return list_sessions(global_, text_, flag_, replays_, limit_);
    });
    auto* list = add(sessions, "list", "most recently used first",
                     [this] { return list_sessions(global_, text_, flag_, replays_, limit_); });
    list->add_option("--search", text_, "words of the title");
    list->add_flag("--archived", flag_, "archived ones too");
    list->add_flag("--replays", replays_, "those of repeated runs too");
    add_limit(list);
    auto* show =
        add(sessions, "show", "one session", [this] { return show_session(global_, id_); });
    show->add_option("session", id_, "its id; see sessions list")->required();
    auto* fresh = add(sessions, "new", "an empty session",
                      [this] { return new_session(global_, text_, run_.agent); });
    fresh->add_option("--title", text_, "shown in lists");
    fresh->add_option("--agent", run_.agent, "who answers in it");
    auto* rename = add(sessions, "rename", "give it a title",
                       [this] { return rename_session(global_, id_, text_); });
    rename->add_option("session", id_, "its id; see sessions list")->required();
    rename->add_option("title", text_, "1 to 200 bytes")->required();
    auto* queue = add(sessions, "queue", "how messages are taken while a run is active",
                      [this] { return set_queue_mode(global_, id_, text_); });
    queue->add_option("session", id_, "its id; see sessions list")->required();
    queue->add_option("mode", text_, "follow-up, collect, steer or interrupt")
        ->required()
        ->check(CLI::IsMember({"follow-up", "collect", "steer", "interrupt"}));
    queue->footer("Example:\n  palyra sessions queue ID steer");
    auto* reset = add(sessions, "reset", "forget its history as context; the tape stays",
                      [this] { return reset_session(global_, id_); });
    reset->add_option("session", id_, "its id; see sessions list")->required();
    auto* archive = add(sessions, "archive", "take it out of the list; nothing is removed",
                        [this] { return archive_session(global_, id_, !flag_); });
    archive->add_option("session", id_, "its id; see sessions list")->required();
    archive->add_flag("--undo", flag_, "put it back; see sessions list --archived");
    auto* erase = add(sessions, "erase", "remove what was said in it, for good",
                      [this] { return erase_session(global_, id_, text_, flag_); });
    erase->add_option("session", id_, "its id; see sessions list")->required();
    add_erase(erase,
              "palyra sessions erase 01J9ZC3V5N8K2M4P6R7S9T0W1X --reason \"asked to forget\"");
    add_turns(sessions);
  }
  CLI::App* add_session(CLI::App* sessions, const std::string& name, const std::string& help,
                        std::function<int()> action) {
    auto* command = add(sessions, name, help, std::move(action));
    command->add_option("session", id_, "its id; see sessions list")->required();
    return command;
  }
  void add_turns(CLI::App* sessions) {
    auto* turns = add_session(sessions, "turns", "its turns, newest first",
                              [this] { return list_turns(global_, id_, flag_, limit_); });
    turns->add_flag("--all", flag_, "also those that its head does not lead to");
    add_limit(turns);
    auto* branch = add_session(sessions, "branch", "a new session that begins after a turn of it",
                               [this] { return branch_session(global_, id_, at_, text_); });
    branch->add_option("--at", at_, "the turn; default: the newest");
    branch->add_option("--title", text_, "of the new session");
    branch->footer("Example:\n  palyra sessions branch ID --at TURN");
    auto* diff = add_session(sessions, "diff", "where two branches part, and what each has since",
                             [this] { return diff_sessions(global_, id_, text_, limit_); });
    diff->add_option("other", text_, "the other session")->required();
    add_limit(diff);
    diff->footer("Example:\n  palyra sessions diff ID OTHER");
    auto* rewind =
        add_session(sessions, "rewind", "go on after an earlier turn; nothing is removed",
                    [this] { return rewind_session(global_, id_, text_, back_); });
    rewind->add_option("--back", back_, "so many turns")->check(CLI::Range(1, 1000000));
    rewind->add_option("--to", text_, "a turn; see sessions turns --all");
    rewind->footer("Example:\n  palyra sessions rewind ID --back 2\nWhat tools did stays done.");
    auto* undo = add_session(sessions, "undo", "go back by one turn; what tools did stays done",
                             [this] { return undo_session(global_, id_, flag_); });
    undo->add_flag("--redo", flag_, "take the last undo or rewind back");
    auto* compact =
        add_session(sessions, "compact", "let a model summarise all but the last six turns",
                    [this] { return compact_session(global_, id_, run_.model); });
    compact->add_option("--model,-m", run_.model, "instance/model; default: the agent's");
    compact->footer(
        "Fewer than six stay as they are if six do not fit the context.\n"
        "The turns stay on the tape; see: palyra sessions expand");
    add_session(sessions, "expand", "show models the turns themselves again, not the summary",
                [this] { return expand_session(global_, id_); });
    auto* pin = add_session(sessions, "pin", "a fact or rule that models always see word for word",
                            [this] { return pin_fact(global_, id_, text_); });
    pin->add_option("text", text_, "1 to 4,096 bytes")->required();
    pin->footer("Example:\n  palyra sessions pin ID \"The deadline is Friday.\"");
    auto* unpin = add_session(sessions, "unpin", "take a pinned fact away",
                              [this] { return unpin_fact(global_, id_, text_); });
    unpin->add_option("pin", text_, "its id; see sessions pins")->required();
    add_session(sessions, "pins", "what is pinned", [this] { return list_pins(global_, id_); });
    auto* search = add(sessions, "search", "titles and what was said",
                       [this] { return search_sessions(global_, text_, replays_, limit_); });
    search->add_option("text", text_, "words that must all be there")->required();
    search->add_flag("--replays", replays_, "in repeated runs too");
    add_limit(search);
  }
  void add_runs() {
    auto* runs = group("runs", "runs, past and present",
                       [this] { return list_runs(global_, run_.session, flag_, limit_); });
    auto* list = add(runs, "list", "newest first",
                     [this] { return list_runs(global_, run_.session, flag_, limit_); });
    list->add_option("--session,-s", run_.session, "only those of this session");
    list->add_flag("--active", flag_, "only those that have not ended");
    add_limit(list);
    auto* show = add(runs, "show", "one run", [this] { return show_run(global_, id_); });
    show->add_option("run", id_, "its id; see runs list")->required();
    auto* explain = add(runs, "explain", "what went into its prompts, segment by segment",
                        [this] { return explain_run(global_, id_, turn_, flag_); });
    explain->add_option("run", id_, "its id; see runs list")->required();
    explain->add_option("--turn", turn_, "one turn of it; default: all")
        ->check(CLI::Range(1, 100000));
    explain->add_flag("--full", flag_, "the content too, compared with what was sent");
    explain->footer("Example:\n  palyra runs explain RUN --turn 1 --output json");
    auto* cancel =
        add(runs, "cancel", "end it", [this] { return cancel_run(global_, id_, text_); });
    cancel->add_option("run", id_, "its id; see runs list")->required();
    cancel->add_option("--reason", text_, "kept on the tape");
    auto* attach = add(runs, "attach", "see it from its beginning and follow it",
                       [this] { return attach_run(global_, id_, run_.approve); });
    attach->add_option("run", id_, "its id; see runs list")->required();
    add_approve(attach);
    auto* wait = add(runs, "wait", "until it has ended, or waits for somebody",
                     [this] { return wait_run(global_, id_, timeout_); });
    wait->add_option("run", id_, "its id; see runs list")->required();
    wait->add_option("--timeout", timeout_, "seconds; default: as long as it takes")
        ->check(CLI::Range(1, 86400));
    wait->footer(
        "Example:\n  palyra runs wait RUN --timeout 600\nExit code 124 if that time ends.");
    auto* save = add(runs, "export", "one file that can be replayed anywhere",
                     [this] { return export_run(global_, id_, text_); });
    save->add_option("run", id_, "its id; see runs list")->required();
    save->add_option("--file", text_, "where to; default standard output");
    auto* compare = add(runs, "compare", "two runs side by side",
                        [this] { return compare_runs(global_, id_, text_); });
    compare->add_option("run", id_, "its id; see runs list")->required();
    compare->add_option("other", text_, "default: the run that it repeats");
    auto* erase = add(runs, "erase", "remove what was said in it, for good",
                      [this] { return erase_run(global_, id_, text_, flag_); });
    erase->add_option("run", id_, "its id; see runs list")->required();
    add_erase(erase, "palyra runs erase 01J9ZC3V5N8K2M4P6R7S9T0W1X --reason \"pasted a password\"");
  }
  void add_erase(CLI::App* command, const std::string& example) {
    command->add_option("--reason", text_, "stays on the tape")->required();
    command->add_flag("--yes,-y", flag_, "do not ask");
    command->footer(
        "The tape still verifies and says \"erased\"; backups are not changed.\n"
        "Example:\n  " +
        example);
  }
  void add_storage() {
    auto* storage = group("storage", "sizes, archive and free space of the store",
                          [this] { return storage_status(global_); });
    add(storage, "status", "sizes, what is archived, what can be given back",
        [this] { return storage_status(global_); });
    auto* archive = add(storage, "archive", "move old tapes into files; they still read and verify",
                        [this] { return storage_archive(global_, days_, flag_); });
    archive
        ->add_option("--older-than", days_, "days since a session was last used; 0 = all at rest")
        ->required()
        ->check(CLI::Range(0, 36500));
    archive->add_flag("--dry-run", flag_, "only say how many");
    archive->footer("Example:\n  palyra storage archive --older-than 90 --dry-run");
    add(storage, "vacuum", "give free space back to the disk",
        [this] { return storage_vacuum(global_); });
  }
  void add_replay() {
    auto* command = add(&app_, "replay", "do a run again: check it, or change something",
                        [this] { return replay(global_, replay_); });
    command->add_option("run", replay_.what, "its id, or a file of palyra runs export");
    command->add_option("--model,-m", replay_.model, "another model: instance/model, or model");
    command->add_option("--provider", replay_.provider, "the same model at another instance");
    command->add_option("--prompt", replay_.prompt, "another system prompt: a file, or the text");
    command
        ->add_option("--tools", replay_.tools,
                     "recorded: answers of the first time (default); live: called again")
        ->check(CLI::IsMember({"recorded", "live"}));
    command->add_flag("--all", replay_.all, "check all runs that have ended");
    command->add_option("--since", replay_.since,
                        "with --all: 7d, 24h, 2026-01-31 or 2026-01-31T12:00:00Z");
    command->add_option("--session,-s", replay_.session, "with --all: only this session's");
    command->add_option("--limit", replay_.limit, "with --all: the newest so many")
        ->check(CLI::Range(1, 1000000));
    command->footer(
        "Examples:\n  palyra replay RUN\n  palyra replay RUN --model gpt-4o-mini\n"
        "  palyra replay RUN --prompt \"You are terse.\" --tools recorded\n"
        "  palyra replay --all --since 7d\n"
        "Exit code 1 if a run of this version diverges.");
  }
  void add_tape() {
    auto* tape = group("tape", "what happened, record by record");
    auto* show = add(tape, "show", "its records",
                     [this] { return show_tape(global_, id_, session_, flag_); });
    show->add_option("id", id_, "a run")->required();
    show->add_flag("--session", session_, "the id is a session's");
    show->add_flag("--full", flag_, "whole payloads");
    auto* save = add(tape, "export", "NDJSON that others can verify",
                     [this] { return export_tape(global_, id_, session_, text_); });
    save->add_option("id", id_, "a run")->required();
    save->add_flag("--session", session_, "the id is a session's");
    save->add_option("--file", text_, "where to; default standard output");
    auto* verify = add(tape, "verify", "recompute its hash chain",
                       [this] { return verify_tape(global_, id_, session_); });
    verify->add_option("id", id_, "a run")->required();
    verify->add_flag("--session", session_, "the id is a session's");
  }
  void add_approvals() {
    auto* approvals = group("approvals", "what waits for you",
                            [this] { return list_approvals(global_, flag_, limit_); });
    auto* list = add(approvals, "list", "pending approvals",
                     [this] { return list_approvals(global_, flag_, limit_); });
    list->add_flag("--all", flag_, "decided ones too");
    add_limit(list);
    auto* allow = add(approvals, "allow", "let it happen",
                      [this] { return allow_approval(global_, id_, scope_, seconds_); });
    allow->add_option("approval", id_, "its id; see approvals list")->required();
    allow->add_option("--scope", scope_, "once, session or timeboxed")
        ->check(CLI::IsMember({"once", "session", "timeboxed"}))
        ->capture_default_str();
    allow->add_option("--seconds", seconds_, "for timeboxed; default 60")
        ->check(CLI::Range(1, 86400));
    auto* deny = add(approvals, "deny", "refuse it; the model is told",
                     [this] { return deny_approval(global_, id_, text_); });
    deny->add_option("approval", id_, "its id; see approvals list")->required();
    deny->add_option("--reason", text_, "kept on the tape");
  }
  void add_audit() {
    auto* audit = group("audit", "proof that nothing was changed");
    auto* verify = add(audit, "verify", "recompute the whole store and compare its checkpoints",
                       [this] { return audit_verify(global_, audit_); });
    verify->add_option("--resume", audit_.resume, "what an interrupted verification printed");
    verify->add_option("--witness", audit_.witness, "file whose last line `audit witness` printed");
    verify->add_option("--key", audit_.keys,
                       "an older public key: hex, or a file with it in hex or PEM");
    verify->footer(
        "Example:\n  palyra audit witness > /elsewhere/witness.json\n"
        "  palyra audit verify --witness /elsewhere/witness.json");
    auto* save = add(audit, "export", "NDJSON that others verify with the public key only",
                     [this] { return audit_export(global_, audit_); });
    save->add_option("--session", audit_.session, "this session and its runs");
    save->add_option("--principal", audit_.principal, "the sessions of this principal");
    save->add_option("--run", audit_.run, "this run");
    save->add_option("--since", audit_.since, "7d, 24h, 2026-01-31 or 2026-01-31T12:00:00Z");
    save->add_option("--until", audit_.until, "as --since; rounded up to the next checkpoint");
    save->add_option("--file", audit_.file, "where to; default standard output");
    save->footer(
        "Example:\n  palyra audit key > audit.pub\n"
        "  palyra audit export --since 7d --file week.ndjson\n"
        "  palyra-audit-verify --key audit.pub week.ndjson");
    auto* witness = add(audit, "witness", "the last checkpoint, to be kept elsewhere",
                        [this] { return audit_witness(global_); });
    witness->footer("Example:\n  palyra audit witness > /elsewhere/witness.json");
    auto* key = add(audit, "key", "the public key that signs checkpoints",
                    [this] { return audit_key(global_); });
    key->footer("Example:\n  palyra audit key > audit.pub");
  }
  void add_admin() {
    add(&app_, "status", "the daemon's figures", [this] { return status(global_); });
    add(&app_, "doctor", "where everything lives, and whether it is well",
        [this] { return doctor(global_); });
    auto* agents = group("agents", "who answers", [this] { return list_agents(global_); });
    add(agents, "list", "agents and their models", [this] { return list_agents(global_); });
    auto* models = group("models", "what answers", [this] { return list_models(global_, flag_); });
    auto* list = add(models, "list", "configured, key missing or unreachable",
                     [this] { return list_models(global_, flag_); });
    list->add_flag("--probe", flag_, "ask the endpoints now");
    auto* plugins =
        group("plugins", "what the daemon is made of", [this] { return list_plugins(global_); });
    add(plugins, "list", "instances and their state", [this] { return list_plugins(global_); });
    auto* show = add(plugins, "show", "one instance", [this] { return show_plugin(global_, id_); });
    show->add_option("instance", id_, "its name; see plugins list")->required();
    auto* config = group("config", "palyra.toml");
    add(config, "check", "is it valid?", [this] { return check_config(global_); });
    add(config, "show", "what is in force, secrets as references",
        [this] { return show_config(global_); });
    add(&app_, "version", "the version", [this] { return print_version(global_); });
  }
  void add_backup() {
    auto* backup = group("backup", "the journal as files of its own",
                         [this] { return list_backups(global_); });
    auto* create = add(backup, "create", "make one; the daemon works on meanwhile",
                       [this] { return create_backup(global_, text_, at_); });
    create->add_option("--name", text_, "default: the time");
    create->add_option("--file", at_,
                       "fetch it to this file, too: a tar archive with all it needs");
    create->footer("Example:\n  palyra backup create --file /elsewhere/palyra.tar");
    add(backup, "list", "those that are there, the newest first",
        [this] { return list_backups(global_); });
    auto* verify = add(backup, "verify", "is it whole? every page, chain and blob",
                       [this] { return verify_backup(global_, id_); });
    verify->add_option("backup", id_, "its name, or a file; see backup list")->required();
    auto* restore = add(backup, "restore", "bring it back; the daemon must be stopped",
                        [this] { return restore_backup(global_, restore_); });
    restore->add_option("backup", restore_.name,
                        "its name, or a file; default: the newest that fits");
    auto* time = restore->add_option("--to-time", restore_.to_time,
                                     "a moment, such as 2026-01-31T12:00:05Z; needs the archive");
    auto* position = restore->add_option("--to-position", restore_.to_position,
                                         "the newest record to have; needs the archive");
    auto* latest = restore->add_flag("--to-latest", restore_.to_latest, "all that was archived");
    // An unset variable of a script is no wish for another target.
    const auto given = [](const std::string& text) { return text.empty() ? "needs a value" : ""; };
    time->check(given);
    position->check(given);
    time->excludes(position)->excludes(latest);
    position->excludes(latest);
    restore->add_flag("--force", restore_.force, "put a store that is there aside; it is kept");
    restore->footer(
        "Example:\n  palyra daemon stop && palyra backup restore --to-time 2026-01-31T12:00:05Z "
        "--force");
    auto* prune = add(backup, "prune", "remove the oldest, and archived logs nobody needs",
                      [this] { return prune_backups(global_, limit_); });
    prune->add_option("--keep", limit_, "backups to keep")
        ->required()
        ->check(CLI::Range(1, 100000));
  }
  void add_completion() {
    auto* command = add(&app_, "completion", "a completion script for your shell",
                        [this] { return print_completion(app_, id_); });
    command->add_option("shell", id_, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    command->footer(
        "Example:\n  palyra completion bash > ~/.local/share/bash-completion/completions/palyra");
  }
  static int print_version(const GlobalOptions& global) {
    std::printf(global.output == Output::kText ? "palyra %s\n" : "{\"version\": \"%s\"}\n",
                kVersion);
    return kExitOk;
  }

  CLI::App app_;
  GlobalOptions global_;
  RunOptions run_;
  ReplayOptions replay_;
  SetupOptions setup_;
  AuditOptions audit_;
  RestoreOptions restore_;
  std::string output_ = "text";
  std::string id_;
  std::string text_;
  std::string at_;
  std::string scope_ = "once";
  int limit_ = kDefaultListLimit;
  int seconds_ = 60;
  int timeout_ = 0;
  int back_ = 0;
  int turn_ = 0;
  int days_ = 0;
  bool flag_ = false;
  bool session_ = false;
  bool replays_ = false;
  std::function<int()> action_;
};

}  // namespace
}  // namespace palyra::cli

int main(int argc, char** argv) { return palyra::cli::Commands().main(argc, argv); }
