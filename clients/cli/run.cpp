#include "clients/cli/commands.h"
#include "clients/cli/line_editor.h"
#include "clients/cli/line_reader.h"
#include "clients/cli/run_view.h"
#include "clients/cli/terminal.h"

#include <cstdio>
#include <iostream>
#include <iterator>
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
  if (options.approve == "deny") start->set_ask_mode(tape::v1::ASK_MODE_DENY);
  return request;
}

int detach(Connection& connection, const RunOptions& options, const std::string& text) {
  api::RouteMessageRequest request;
  request.set_session_id(options.session);
  request.set_agent_id(options.agent);
  request.set_model(options.model);
  request.set_text(text);
  request.set_idempotency_key(options.idempotency_key);
  if (options.approve == "deny") request.set_ask_mode(tape::v1::ASK_MODE_DENY);
  return call_and_print<api::GatewayService::Stub, api::RouteMessageRequest,
                        api::RouteMessageResponse>(
      connection, connection.gateway(), &api::GatewayService::Stub::RouteMessage, request,
      [](const api::RouteMessageResponse& response) {
        std::printf("run %s\nsession %s\n", response.run_id().c_str(),
                    response.session_id().c_str());
        std::fprintf(stderr, "Follow it with: palyra runs attach %s\n", response.run_id().c_str());
        return static_cast<int>(kExitOk);
      });
}

int check_message(const std::string& text) {
  if (text.empty()) return complain("nothing to say: the message is empty", kExitUsage);
  if (text.size() > kMessageBytes) {
    return complain("the message has " + std::to_string(text.size()) + " bytes, at most " +
                        std::to_string(kMessageBytes) +
                        " are allowed; put the text into a file of the workspace and name the file",
                    kExitInvalid);
  }
  if (!is_utf8(text) || text.find('\0') != std::string::npos) {
    return complain("the message is not UTF-8 text; convert it first, for example with iconv",
                    kExitInvalid);
  }
  return kExitOk;
}

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
  RunView::block_interrupts();
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  if (options.detach) return detach(connection, options, text);
  RunView view(connection, approve_mode(options.approve));
  return view.follow(start_request(options, text, options.session));
}

int chat(const GlobalOptions& global, const RunOptions& options) {
  RunView::block_interrupts();
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
  while (true) {
    LineReader::Result got;
    {
      const Prompt prompt(session);
      got = is_terminal(0) && is_terminal(1) ? edit_line("> ", &line)
                                             : LineReader::standard_input().read(&line);
    }
    if (got != LineReader::Result::kLine) break;
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    if (const int bad = check_message(line); bad != kExitOk) {
      code = bad;
      continue;
    }
    RunView view(connection, approve_mode(options.approve));
    code = view.follow(start_request(options, line, session));
    if (!view.session_id().empty()) session = view.session_id();
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
