#include "clients/cli/commands.h"
#include "clients/cli/run_view.h"
#include "clients/cli/terminal.h"

#include <cstdio>
#include <iostream>
#include <iterator>

namespace palyra::cli {

namespace {

ApproveMode approve_mode(const std::string& word) {
  if (word == "all") return ApproveMode::kAll;
  return word == "deny" ? ApproveMode::kDeny : ApproveMode::kAsk;
}

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

}  // namespace

int run(const GlobalOptions& global, const RunOptions& options) {
  std::string text = options.text;
  if (text == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
    while (!text.empty() && text.back() == '\n') text.pop_back();
  }
  if (text.empty()) return complain("nothing to say: the text is empty", kExitUsage);
  RunView::block_interrupts();
  Connection connection(global);
  if (!connection.find_daemon()) return kExitUnavailable;
  if (options.detach) return detach(connection, options, text);
  RunView view(connection, approve_mode(options.approve));
  return view.follow(start_request(options, text, options.session));
}

int chat(const GlobalOptions& global, const RunOptions& options) {
  RunView::block_interrupts();
  Connection connection(global);
  if (!connection.find_daemon()) return kExitUnavailable;
  if (is_terminal(0)) {
    std::fprintf(
        stderr, "%s\n",
        styled(Style::kDim, "One message a line; Ctrl-C cancels a run, Ctrl-D leaves.", 2).c_str());
  }
  std::string session = options.session;
  int code = kExitOk;
  std::string line;
  while (true) {
    if (is_terminal(0)) std::fprintf(stderr, "%s ", styled(Style::kBold, ">", 2).c_str());
    if (!std::getline(std::cin, line)) break;
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    RunView view(connection, approve_mode(options.approve));
    code = view.follow(start_request(options, line, session));
    if (!view.session_id().empty()) session = view.session_id();
    if (code == kExitUnavailable || code == kExitNoPermission || code == kExitNotFound) break;
  }
  if (!session.empty() && is_terminal(0)) {
    std::fprintf(stderr, "\nGo on later with: palyra chat --session %s\n", session.c_str());
  }
  return code;
}

}  // namespace palyra::cli
