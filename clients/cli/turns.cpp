// A conversation as a tree of turns: branch, rewind, pin, compact, search.
#include "clients/cli/commands.h"
#include "clients/cli/compare_view.h"
#include "clients/cli/connection.h"
#include "clients/cli/ctrl_c.h"
#include "clients/cli/terminal.h"
#include "clients/cli/words.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>
#include <mutex>

namespace palyra::cli {

namespace {

using SessionStub = api::SessionService::Stub;
using Gateway = api::GatewayService::Stub;

// One question of WaitRun, after which the words for what is waited for are looked at again.
constexpr int kAskMs = 1000;

int say_head(const api::Session& session) {
  std::printf("session %s\nhead %s\n", session.session_id().c_str(),
              session.head_turn().empty() ? "-" : session.head_turn().c_str());
  return kExitOk;
}

template <typename Request>
int session_call(const GlobalOptions& global, const Request& request,
                 grpc::Status (SessionStub::*method)(grpc::ClientContext*, const Request&,
                                                     api::Session*),
                 const std::function<int(const api::Session&)>& text) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  return call_and_print<SessionStub, Request, api::Session>(connection, connection.sessions(),
                                                            method, request, text);
}

// Waits for the run that compacts; the exit code. Ctrl-C cancels it, the second one leaves.
int follow_compaction(Connection& connection, const api::CompactSessionResponse& started,
                      api::Run* run) {
  Progress progress("summarising older turns");
  std::mutex mutex;
  std::shared_ptr<grpc::ClientContext> asking;  // guarded by mutex, as is `interrupted`
  bool interrupted = false;
  const CtrlC ctrl_c(
      [&] {
        std::lock_guard lock(mutex);
        interrupted = true;
        progress.describe("cancelling; Ctrl-C again to leave");
        if (asking) asking->TryCancel();
      },
      [&] {
        std::fprintf(stderr, "The compaction may go on; see: palyra runs show %s\n",
                     started.run_id().c_str());
      });
  bool cancelled = false;
  bool queued = false;
  api::WaitRunRequest request;
  request.set_run_id(started.run_id());
  request.set_timeout_ms(kAskMs);
  api::WaitRunResponse response;
  do {
    bool cancel = false;
    {
      std::lock_guard lock(mutex);
      cancel = interrupted && !cancelled;
      asking = connection.context();
    }
    if (cancel) {
      cancelled = true;
      api::CancelRunRequest end;
      end.set_run_id(started.run_id());
      end.set_reason("Ctrl-C");
      api::CancelRunResponse ignored;
      const auto status = connection.gateway().CancelRun(asking.get(), end, &ignored);
      if (!status.ok()) return connection.explain(status);
      response.set_timed_out(true);
      continue;
    }
    const auto status = ask_run(connection, *asking, request, &response);
    if (!status.ok()) {
      std::lock_guard lock(mutex);
      if (!interrupted || cancelled) return connection.explain(status);
      response.set_timed_out(true);
      continue;
    }
    const bool waits = response.run().state() == api::RUN_STATE_QUEUED;
    std::lock_guard lock(mutex);
    if (waits == queued || interrupted) continue;
    queued = waits;
    progress.describe(queued ? "waiting behind another run" : "summarising older turns");
    if (queued) {
      std::fprintf(stderr,
                   "The compaction, run %s, waits behind another run of the session; see: palyra "
                   "runs list --active -s %s\n",
                   started.run_id().c_str(), started.session_id().c_str());
    }
  } while (response.timed_out());
  progress.alive();
  *run = response.run();
  return run->state() == api::RUN_STATE_COMPLETED ? kExitOk : kExitRunFailed;
}

int compact(Connection& connection, const api::CompactSessionRequest& request, bool quietly) {
  api::CompactSessionResponse started;
  auto context = connection.context();
  const auto status = connection.sessions().CompactSession(context.get(), request, &started);
  if (!status.ok()) return connection.explain(status);
  api::Run run;
  const int code = follow_compaction(connection, started, &run);
  if (run.run_id().empty()) return code;
  if (connection.options().output != Output::kText && !quietly) {
    std::printf("%s\n", to_json(run, connection.options().output == Output::kJson).c_str());
  } else if (code == kExitOk) {
    std::fprintf(quietly ? stderr : stdout, "%s\n", printable(run.text()).c_str());
  } else if (run.state() == api::RUN_STATE_CANCELLED) {
    std::fprintf(stderr, "Cancelled.\n");
  } else {
    complain(run.failure().message().empty()
                 ? "the compaction failed; see: palyra runs show " + run.run_id()
                 : run.failure().message(),
             code);
  }
  return code;
}

}  // namespace

int branch_session(const GlobalOptions& global, const std::string& session_id,
                   const std::string& turn, const std::string& title) {
  api::BranchSessionRequest request;
  request.set_session_id(session_id);
  request.set_turn_id(turn);
  request.set_title(title);
  return session_call<api::BranchSessionRequest>(
      global, request, &SessionStub::BranchSession, [](const api::Session& session) {
        say_head(session);
        std::fprintf(stderr, "Go on in it with: palyra chat --session %s\n",
                     session.session_id().c_str());
        return static_cast<int>(kExitOk);
      });
}

int rewind_session(const GlobalOptions& global, const std::string& session_id,
                   const std::string& turn, int back) {
  api::RewindSessionRequest request;
  request.set_session_id(session_id);
  if (turn.empty() == (back == 0)) {
    return complain("say where to: --to TURN or --back N; see: palyra sessions turns " + session_id,
                    kExitUsage);
  }
  if (back > 0) {
    request.set_back(static_cast<uint32_t>(back));
  } else {
    request.set_turn_id(turn);
  }
  return session_call<api::RewindSessionRequest>(global, request, &SessionStub::RewindSession,
                                                 say_head);
}

int undo_session(const GlobalOptions& global, const std::string& session_id, bool redo) {
  api::RewindSessionRequest request;
  request.set_session_id(session_id);
  if (redo) {
    request.set_redo(true);
  } else {
    request.set_back(1);
    request.set_reason("undo");
  }
  return session_call<api::RewindSessionRequest>(global, request, &SessionStub::RewindSession,
                                                 say_head);
}

int list_turns(const GlobalOptions& global, const std::string& session_id, bool all, int limit) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::ListTurnsRequest request;
  request.set_session_id(session_id);
  request.set_all(all);
  Table table({"TURN", "WHEN", "", "TOKENS", "MESSAGE", "ANSWER"});
  return list_and_print<api::TurnInfo, SessionStub, api::ListTurnsRequest, api::ListTurnsResponse>(
      connection, connection.sessions(), &SessionStub::ListTurns, request, limit,
      [](const api::ListTurnsResponse& response) -> const auto& { return response.turns(); },
      [&](const api::TurnInfo& turn) {
        table.add({turn.turn_id(), local_time(turn.time_ms()),
                   turn.head()        ? "head"
                   : !turn.on_path()  ? "off"
                   : turn.compacted() ? "summary"
                                      : "",
                   std::to_string(turn.tokens()), shortened(turn.input_preview(), 40),
                   shortened(turn.answer_preview(), 40)});
      },
      [&](bool more) {
        if (table.empty()) return (void)std::printf("No turns.\n");
        table.print();
        if (more) std::fprintf(stderr, "There are more; use --limit.\n");
      });
}

int diff_sessions(const GlobalOptions& global, const std::string& session_id,
                  const std::string& other, int limit) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::CompareSessionsRequest request;
  request.set_session_id(session_id);
  request.set_other_session_id(other);
  api::CompareSessionsResponse whole;
  int turns = 0;
  do {
    auto context = connection.context();
    api::CompareSessionsResponse page;
    request.set_page_size(static_cast<uint32_t>(std::min(limit - turns, 100)));
    const auto status = connection.sessions().CompareSessions(context.get(), request, &page);
    if (!status.ok()) return connection.explain(status);
    turns += static_cast<int>(request.page_size());
    request.set_page_token(page.next_page_token());
    if (whole.left_size() + whole.right_size() > 0) page.clear_common();
    whole.MergeFrom(page);
    whole.set_next_page_token(page.next_page_token());
  } while (!request.page_token().empty() && turns < limit);
  if (connection.options().output != Output::kText) {
    std::printf("%s\n", to_json(whole, connection.options().output == Output::kJson).c_str());
    return kExitOk;
  }
  const auto name = [&connection](const std::string& id) {
    api::GetSessionRequest get;
    get.set_session_id(id);
    api::Session session;
    auto context = connection.context();
    static_cast<void>(connection.gateway().GetSession(context.get(), get, &session).ok());
    return id + " " + session.title();
  };
  std::fputs(render(whole, name(session_id), name(other), terminal_width(1)).c_str(), stdout);
  if (!whole.next_page_token().empty()) std::fprintf(stderr, "There are more; use --limit.\n");
  return kExitOk;
}

int search_sessions(const GlobalOptions& global, const std::string& text, bool replays, int limit) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::SearchSessionsRequest request;
  request.set_text(text);
  request.set_include_replays(replays);
  Table table({"SESSION", "RUN", "WHEN", "TEXT"});
  return list_and_print<api::SearchHit, SessionStub, api::SearchSessionsRequest,
                        api::SearchSessionsResponse>(
      connection, connection.sessions(), &SessionStub::SearchSessions, request, limit,
      [](const api::SearchSessionsResponse& response) -> const auto& { return response.hits(); },
      [&](const api::SearchHit& hit) {
        table.add({hit.session_id(), hit.run_id().empty() ? "(title)" : hit.run_id(),
                   local_time(hit.time_ms()), shortened(hit.text(), 80)});
      },
      [&](bool more) {
        if (table.empty()) return (void)std::printf("Nothing has all of these words.\n");
        table.print();
        if (more) std::fprintf(stderr, "There are more; use --limit.\n");
      });
}

int pin_fact(const GlobalOptions& global, const std::string& session_id, const std::string& text) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::PinFactRequest request;
  request.set_session_id(session_id);
  request.set_text(text);
  return call_and_print<SessionStub, api::PinFactRequest, tape::v1::FactPinned>(
      connection, connection.sessions(), &SessionStub::PinFact, request,
      [](const tape::v1::FactPinned& pin) {
        std::printf("pin %s\n", pin.pin_id().c_str());
        return static_cast<int>(kExitOk);
      });
}

int unpin_fact(const GlobalOptions& global, const std::string& session_id,
               const std::string& pin_id) {
  api::UnpinFactRequest request;
  request.set_session_id(session_id);
  request.set_pin_id(pin_id);
  return session_call<api::UnpinFactRequest>(global, request, &SessionStub::UnpinFact, say_head);
}

int list_pins(const GlobalOptions& global, const std::string& session_id) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::ListPinsRequest request;
  request.set_session_id(session_id);
  return call_and_list<tape::v1::FactPinned, SessionStub, api::ListPinsRequest,
                       api::ListPinsResponse>(
      connection, connection.sessions(), &SessionStub::ListPins, request,
      &api::ListPinsResponse::pins, [](const api::ListPinsResponse& response) {
        Table table({"PIN", "TEXT"});
        for (const auto& pin : response.pins()) {
          table.add({pin.pin_id(), shortened(pin.text(), 100)});
        }
        if (table.empty()) {
          std::printf("Nothing is pinned.\n");
        } else {
          table.print();
        }
        return static_cast<int>(kExitOk);
      });
}

int compact_session(const GlobalOptions& global, const std::string& session_id,
                    const std::string& model) {
  CtrlC::block();
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::CompactSessionRequest request;
  request.set_session_id(session_id);
  request.set_model(model);
  return compact(connection, request, false);
}

int expand_session(const GlobalOptions& global, const std::string& session_id) {
  api::ExpandSessionRequest request;
  request.set_session_id(session_id);
  return session_call<api::ExpandSessionRequest>(global, request, &SessionStub::ExpandSession,
                                                 say_head);
}

std::optional<int> chat_command(Connection& connection, const std::string& line,
                                std::string* session, bool during_run) {
  const size_t space = line.find_first_of(" \t");
  const std::string word = line.substr(0, space);
  const size_t at = space == std::string::npos ? space : line.find_first_not_of(" \t", space);
  std::string rest = at == std::string::npos ? "" : line.substr(at);
  rest.erase(rest.find_last_not_of(" \t") + 1);
  if (word != "/undo" && word != "/redo" && word != "/rewind" && word != "/branch" &&
      word != "/compact" && word != "/pin") {
    return std::nullopt;
  }
  if (session->empty()) return complain(word + " needs a session; say something first", kExitUsage);
  if ((word == "/undo" || word == "/redo") && !rest.empty()) {
    return complain(word + " stands alone; to go back by more turns: /rewind N", kExitUsage);
  }
  if (during_run && word != "/pin" && word != "/branch") {
    return complain(word + " was not done: a run is active; wait for it, or cancel it with Ctrl-C",
                    kExitInvalid);
  }
  if (word == "/compact") {
    api::CompactSessionRequest request;
    request.set_session_id(*session);
    request.set_model(rest);
    return compact(connection, request, true);
  }
  grpc::Status status;
  std::string said;
  auto context = connection.context();
  if (word == "/pin") {
    api::PinFactRequest request;
    tape::v1::FactPinned pin;
    request.set_session_id(*session);
    request.set_text(rest);
    status = connection.sessions().PinFact(context.get(), request, &pin);
    said = "Pinned.";
  } else if (word == "/branch") {
    api::BranchSessionRequest request;
    api::Session branch;
    request.set_session_id(*session);
    request.set_title(rest);
    status = connection.sessions().BranchSession(context.get(), request, &branch);
    said = "You are in a branch now, session " + branch.session_id() + "; the other is " + *session;
    if (status.ok()) *session = branch.session_id();
  } else {
    api::RewindSessionRequest request;
    api::Session moved;
    request.set_session_id(*session);
    uint32_t back = 1;
    if (word == "/rewind") {
      const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), back);
      if (parsed.ec != std::errc() || parsed.ptr != rest.data() + rest.size() || back == 0) {
        return complain("/rewind wants a number of turns, such as /rewind 2", kExitUsage);
      }
    }
    if (word == "/redo") {
      request.set_redo(true);
    } else {
      request.set_back(back);
      request.set_reason(word == "/undo" ? "undo" : "rewind");
    }
    status = connection.sessions().RewindSession(context.get(), request, &moved);
    said = word == "/redo" ? "Back again." : "Gone back; what tools did stays done. /redo returns.";
  }
  if (!status.ok()) return connection.explain(status);
  Progress::make_room();
  std::fprintf(stderr, "%s\n", styled(Style::kDim, said, 2).c_str());
  return kExitOk;
}

}  // namespace palyra::cli
