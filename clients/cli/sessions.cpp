#include "clients/cli/commands.h"
#include "clients/cli/connection.h"
#include "clients/cli/terminal.h"
#include "clients/cli/words.h"

#include <cstdio>

namespace palyra::cli {

namespace {

using Stub = api::GatewayService::Stub;

int print_session(const api::Session& session) {
  const auto line = [](const char* name, const std::string& value) {
    if (!value.empty()) std::printf("%-13s %s\n", name, one_line(value).c_str());
  };
  line("session", session.session_id());
  line("title", session.title());
  line("agent", session.agent_id());
  line("channel", session.channel());
  line("conversation", session.conversation());
  line("principal", session.principal());
  line("turns", std::to_string(session.turns()));
  line("created", local_time(session.created_at_ms()));
  line("updated", local_time(session.updated_at_ms()));
  line("active run", session.active_run());
  line("queue mode", queue_word(session.queue_mode()));
  if (session.queued() > 0) line("queued", std::to_string(session.queued()));
  if (session.archived()) line("archived", "yes");
  return kExitOk;
}

// One request about one session, answered with the session.
template <typename Request>
int session_call(const GlobalOptions& global, const Request& request,
                 grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                              api::Session*)) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  return call_and_print<Stub, Request, api::Session>(connection, connection.gateway(), method,
                                                     request, print_session);
}

}  // namespace

int list_sessions(const GlobalOptions& global, const std::string& search, bool archived,
                  bool replays, int limit) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::ListSessionsRequest request;
  request.set_search(search);
  request.set_include_archived(archived);
  request.set_include_replays(replays);
  Table table({"SESSION", "UPDATED", "TURNS", "AGENT", "TITLE"});
  return list_and_print<api::Session, Stub, api::ListSessionsRequest, api::ListSessionsResponse>(
      connection, connection.gateway(), &Stub::ListSessions, request, limit,
      [](const api::ListSessionsResponse& response) -> const auto& { return response.sessions(); },
      [&](const api::Session& session) {
        table.add({session.session_id(), local_time(session.updated_at_ms()),
                   std::to_string(session.turns()), session.agent_id(), session.title()});
      },
      [&](bool more) {
        if (table.empty() && !search.empty()) {
          return (void)std::printf(
              "No title has these words. In what was said: palyra sessions search\n");
        }
        if (table.empty()) {
          return (void)std::printf("No sessions. Start one with: palyra chat\n");
        }
        table.print();
        if (more) std::fprintf(stderr, "There are more; use --limit.\n");
      });
}

int show_session(const GlobalOptions& global, const std::string& session_id) {
  api::GetSessionRequest request;
  request.set_session_id(session_id);
  return session_call(global, request, &Stub::GetSession);
}

int new_session(const GlobalOptions& global, const std::string& title, const std::string& agent) {
  api::ResolveSessionRequest request;
  request.set_title(title);
  request.set_agent_id(agent);
  return session_call(global, request, &Stub::ResolveSession);
}

int rename_session(const GlobalOptions& global, const std::string& session_id,
                   const std::string& title) {
  api::RenameSessionRequest request;
  request.set_session_id(session_id);
  request.set_title(title);
  return session_call(global, request, &Stub::RenameSession);
}

int reset_session(const GlobalOptions& global, const std::string& session_id) {
  api::ResetSessionRequest request;
  request.set_session_id(session_id);
  return session_call(global, request, &Stub::ResetSession);
}

int archive_session(const GlobalOptions& global, const std::string& session_id, bool archived) {
  api::ArchiveSessionRequest request;
  request.set_session_id(session_id);
  request.set_archived(archived);
  return session_call(global, request, &Stub::ArchiveSession);
}

int set_queue_mode(const GlobalOptions& global, const std::string& session_id,
                   const std::string& mode) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::SetQueueModeRequest request;
  request.set_session_id(session_id);
  request.set_mode(queue_mode(mode));
  return call_and_print<api::SessionService::Stub, api::SetQueueModeRequest, api::Session>(
      connection, connection.sessions(), &api::SessionService::Stub::SetQueueMode, request,
      print_session);
}

}  // namespace palyra::cli
