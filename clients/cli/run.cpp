#include "clients/cli/commands.h"
#include "clients/cli/ctrl_c.h"
#include "clients/cli/line_editor.h"
#include "clients/cli/line_reader.h"
#include "clients/cli/run_view.h"
#include "clients/cli/terminal.h"
#include "clients/cli/words.h"

#include <cstdio>
#include <deque>
#include <iostream>
#include <iterator>
#include <mutex>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

namespace palyra::cli {

namespace {

constexpr size_t kMessageBytes = size_t{1} << 20;

api::RunStreamRequest start_request(const RunOptions& options, const std::string& text,
                                    const std::string& session) {
  api::RunStreamRequest request;
  auto* start = request.mutable_start();
  start->set_text(text);
  start->set_session_id(session);
  start->set_agent_id(options.agent);
  start->set_model(options.model);
  start->set_idempotency_key(options.idempotency_key);
  start->set_queue_mode(queue_mode(options.queue));
  if (options.approve == "deny") start->set_ask_mode(tape::v1::ASK_MODE_DENY);
  return request;
}

// How a message that is not shown further was taken; empty if there is nothing to say.
std::string taken_words(const RunOptions& options, tape::v1::QueueMode mode) {
  switch (mode) {
    case tape::v1::QUEUE_MODE_STEER:
    case tape::v1::QUEUE_MODE_INTERRUPT:
      return "It joined the active run (" + queue_word(mode) + ").";
    case tape::v1::QUEUE_MODE_COLLECT:
      return "It waits behind the active run, with others that wait (collect).";
    case tape::v1::QUEUE_MODE_FOLLOW_UP:
      return "It waits behind the active run (follow-up).";
    default:
      return options.queue.empty() ? "" : "No run was active, so it began one.";
  }
}

int detach(Connection& connection, const RunOptions& options, const std::string& text) {
  api::RouteMessageRequest request;
  request.set_session_id(options.session);
  request.set_agent_id(options.agent);
  request.set_model(options.model);
  request.set_text(text);
  request.set_idempotency_key(options.idempotency_key);
  request.set_queue_mode(queue_mode(options.queue));
  if (options.approve == "deny") request.set_ask_mode(tape::v1::ASK_MODE_DENY);
  return call_and_print<api::GatewayService::Stub, api::RouteMessageRequest,
                        api::RouteMessageResponse>(
      connection, connection.gateway(), &api::GatewayService::Stub::RouteMessage, request,
      [&options](const api::RouteMessageResponse& response) {
        std::printf("run %s\nsession %s\n", response.run_id().c_str(),
                    response.session_id().c_str());
        const std::string taken = taken_words(options, response.mode());
        if (!taken.empty()) std::fprintf(stderr, "%s\n", taken.c_str());
        std::fprintf(stderr, "Follow it with: palyra runs attach %s\n", response.run_id().c_str());
        return static_cast<int>(kExitOk);
      });
}

int check_text(const std::string& text) {
  if (is_utf8(text) && text.find('\0') == std::string::npos) return kExitOk;
  return complain("the message is not UTF-8 text; convert it first, for example with iconv",
                  kExitInvalid);
}

int check_message(const std::string& text) {
  if (text.empty()) return complain("nothing to say: the message is empty", kExitUsage);
  if (text.size() > kMessageBytes) {
    return complain("the message has " + std::to_string(text.size()) + " bytes, at most " +
                        std::to_string(kMessageBytes) +
                        " are allowed; put the text into a file of the workspace and name the file",
                    kExitInvalid);
  }
  return check_text(text);
}

// A line of a chat: a message, or a command about messages.
struct ChatLine {
  std::string text;
  tape::v1::QueueMode mode = tape::v1::QUEUE_MODE_UNSPECIFIED;  // of the message, or to be set
  bool sets_mode = false;
};

ChatLine chat_line(const std::string& line) {
  const size_t space = line.find_first_of(" \t");
  const std::string word = line.substr(0, space);
  const size_t rest = space == std::string::npos ? space : line.find_first_not_of(" \t", space);
  ChatLine out;
  out.text = rest == std::string::npos ? "" : line.substr(rest);
  if (word == "/steer") {
    out.mode = tape::v1::QUEUE_MODE_STEER;
  } else if (word == "/interrupt") {
    out.mode = tape::v1::QUEUE_MODE_INTERRUPT;
  } else if (word == "/queue") {
    while (!out.text.empty() && (out.text.back() == ' ' || out.text.back() == '\t')) {
      out.text.pop_back();
    }
    out.mode = queue_mode(out.text);
    out.sets_mode = true;
  } else {
    out.text = line;
  }
  return out;
}

int set_mode(Connection& connection, const std::string& session, const ChatLine& line) {
  if (line.mode == tape::v1::QUEUE_MODE_UNSPECIFIED) {
    return complain("/queue wants follow-up, collect, steer or interrupt", kExitUsage);
  }
  api::SetQueueModeRequest request;
  request.set_session_id(session);
  request.set_mode(line.mode);
  api::Session changed;
  auto context = connection.context();
  const auto status = connection.sessions().SetQueueMode(context.get(), request, &changed);
  if (!status.ok()) return connection.explain(status);
  std::fprintf(
      stderr, "%s\n",
      styled(Style::kDim,
             "While a run is active, messages are taken as: " + queue_word(changed.queue_mode()), 2)
          .c_str());
  return kExitOk;
}

// What is typed while a run is shown. Messages are accepted apart from its stream, which may end at
// any moment; what does not join the run is followed after it. Commands are done at once.
class Meanwhile {
 public:
  Meanwhile(Connection& connection, const RunOptions& options)
      : connection_(connection), options_(options) {}

  // Any thread.
  void say(const std::string& shown_session, const std::string& text) {
    if (text.find_first_not_of(" \t") == std::string::npos) return;
    if (check_text(text) != kExitOk) return;
    std::string session = branch();
    if (session.empty()) session = shown_session;
    std::string after = session;
    if (chat_command(connection_, text, &after, true)) {
      std::lock_guard lock(mutex_);
      if (after != session) branch_ = after;
      return;
    }
    const ChatLine line = chat_line(text);
    if (line.sets_mode) return (void)set_mode(connection_, session, line);
    if (check_message(line.text) != kExitOk) return;
    api::RouteMessageRequest request;
    request.set_session_id(session);
    request.set_text(line.text);
    request.set_queue_mode(line.mode);
    if (options_.approve == "deny") request.set_ask_mode(tape::v1::ASK_MODE_DENY);
    api::RouteMessageResponse response;
    auto context = connection_.context();
    const auto status = connection_.gateway().RouteMessage(context.get(), request, &response);
    if (!status.ok()) return (void)connection_.explain(status);
    std::lock_guard lock(mutex_);
    for (const auto& run : runs_) {
      if (run == response.run_id()) return;
    }
    runs_.push_back(response.run_id());
  }
  // The session that `/branch` led to, which takes what is typed from then on; empty = none.
  std::string branch() {
    std::lock_guard lock(mutex_);
    return branch_;
  }
  // That is the chat's session now.
  void arrived() {
    std::lock_guard lock(mutex_);
    branch_.clear();
  }
  // The next run to follow that is not `shown`; empty = none.
  std::string next(const std::string& shown) {
    std::lock_guard lock(mutex_);
    while (!runs_.empty()) {
      std::string run = std::move(runs_.front());
      runs_.pop_front();
      if (run != shown) return run;
    }
    return "";
  }

 private:
  Connection& connection_;
  const RunOptions& options_;
  std::mutex mutex_;
  std::deque<std::string> runs_;
  std::string branch_;
};

// While it lives Ctrl-C leaves at once, also in the middle of an edited line, and says how to go
// on. The handler does it all itself: a wait that a signal only interrupts could begin just after
// the signal.
class Prompt {
 public:
  explicit Prompt(const std::string& session) {
    farewell_ = session.empty() ? "\n" : go_on_later(session);
    if (tcgetattr(0, &cooked_) != 0) cooked_ = {};
    struct sigaction action = {};
    action.sa_handler = leave;
    sigaction(SIGINT, &action, &before_);
    mask(SIG_UNBLOCK);
  }
  ~Prompt() {
    mask(SIG_BLOCK);
    sigaction(SIGINT, &before_, nullptr);
  }
  Prompt(const Prompt&) = delete;

  static std::string go_on_later(const std::string& session) {
    return "\nGo on later with: palyra chat --session " + session + "\n";
  }

 private:
  static void leave(int) {
    if (isatty(0) == 1) {
      tcsetattr(0, TCSANOW, &cooked_);
      (void)!write(2, farewell_.data(), farewell_.size());
    }
    _exit(kExitInterrupted);
  }
  static void mask(int how) {
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(how, &interrupt, nullptr);
  }

  static inline std::string farewell_;  // written only while SIGINT is blocked
  static inline termios cooked_ = {};   // the terminal before anybody edits
  struct sigaction before_ = {};
};

}  // namespace

int run(const GlobalOptions& global, const RunOptions& options) {
  std::string text = options.text;
  if (text == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
    while (!text.empty() && text.back() == '\n') text.pop_back();
  }
  if (const int code = check_message(text); code != kExitOk) return code;
  if (options.detach && options.approve == "all") {
    return complain(
        "--detach leaves at once and so cannot approve; leave out --approve=all and decide with: "
        "palyra approvals",
        kExitUsage);
  }
  CtrlC::block();
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  if (options.detach) return detach(connection, options, text);
  RunView view(connection, approve_mode(options.approve));
  return view.follow(start_request(options, text, options.session));
}

int chat(const GlobalOptions& global, const RunOptions& options) {
  CtrlC::block();
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  if (is_terminal(0)) {
    std::fprintf(
        stderr, "%s\n",
        styled(Style::kDim, "One message a line; Ctrl-C cancels a run, Ctrl-D leaves.", 2).c_str());
  }
  std::string session = options.session;
  int code = kExitOk;
  std::string line;
  // Made here: they are used by two threads.
  connection.gateway();
  connection.sessions();
  Meanwhile meanwhile(connection, options);
  std::string next_run;
  while (true) {
    api::RunStreamRequest request;
    if (!next_run.empty()) {
      request.mutable_attach()->set_run_id(next_run);
    } else {
      LineReader::Result got;
      {
        const Prompt prompt(session);
        const bool edit = is_terminal(0) && is_terminal(1) && !LineReader::standard_input().ready();
        got = edit ? edit_line("> ", &line) : LineReader::standard_input().read(&line);
      }
      if (got != LineReader::Result::kLine) break;
      if (line.find_first_not_of(" \t") == std::string::npos) continue;
      if (const int bad = check_text(line); bad != kExitOk) {
        code = bad;
        continue;
      }
      if (const auto done = chat_command(connection, line, &session, false)) {
        code = *done;
        continue;
      }
      const ChatLine said = chat_line(line);
      if (said.sets_mode) {
        if (session.empty() && said.mode != tape::v1::QUEUE_MODE_UNSPECIFIED) {
          code = complain("/queue needs a session; say something first", kExitUsage);
        } else {
          code = set_mode(connection, session, said);
        }
        continue;
      }
      if (const int bad = check_message(said.text); bad != kExitOk) {
        code = bad;
        continue;
      }
      request = start_request(options, said.text, session);
      request.mutable_start()->set_queue_mode(said.mode);
    }
    RunView view(connection, approve_mode(options.approve));
    view.listen(
        [&meanwhile](const std::string& id, const std::string& text) { meanwhile.say(id, text); });
    code = view.follow(request);
    if (!view.session_id().empty()) session = view.session_id();
    if (const std::string branch = meanwhile.branch(); !branch.empty()) session = branch;
    next_run = meanwhile.next(view.run_id());
    if (next_run.empty()) meanwhile.arrived();
    if (view.input_ended() && next_run.empty()) break;
    // What follows would fail in the same way, or wait behind a run that waits.
    if (code == kExitUnavailable || code == kExitNoPermission || code == kExitNotFound ||
        code == kExitWaiting) {
      break;
    }
  }
  if (!session.empty() && is_terminal(0)) {
    std::fputs(Prompt::go_on_later(session).c_str(), stderr);
  }
  return code;
}

}  // namespace palyra::cli
