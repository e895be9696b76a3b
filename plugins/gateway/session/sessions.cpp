// Sessions as clients see and change them; agents.
#include "plugins/gateway/session/gateway_impl.h"
#include "plugins/gateway/session/validate.h"

#include <utility>

namespace palyra::gateway {

Task<Result<api::Session>> GatewayImpl::resolve_session(Caller caller,
                                                        api::ResolveSessionRequest request) {
  Status status = check_channel(request.channel(), caller.channel);
  if (status.ok()) status = check_text("conversation", request.conversation(), 0, 200);
  if (status.ok()) status = check_text("title", request.title(), 0, 200);
  if (!status.ok()) co_return status;
  auto agent = agents_.find(request.agent_id());
  if (!agent.ok()) co_return agent.status();
  for (int round = 0;; ++round) {
    if (!request.conversation().empty()) {
      auto found = co_await find_session(caller, request.conversation());
      if (!found.ok()) co_return found.status();
      if (*found) co_return (*found)->doc();
    }
    if (draining_ || environment_.stopping) {
      co_return Status(Code::kUnavailable, "the daemon is stopping and makes no new sessions");
    }
    const api::Session doc =
        new_session(caller, request.conversation(), (*agent)->agent_id, request.title());
    const auto session =
        std::make_shared<Session>(environment_.world, environment_.options, doc, 0);
    tape::SessionEvent event;
    auto& created = *event.mutable_session_created();
    created.set_session_id(doc.session_id());
    created.set_principal(doc.principal());
    created.set_device_id(doc.device_id());
    created.set_channel(doc.channel());
    created.set_conversation(doc.conversation());
    created.set_agent_id(doc.agent_id());
    created.set_title(doc.title());
    service::CommitRequest commit;
    append(commit, session_stream(doc.session_id()), 0, event, environment_.world.clock.wall_now());
    put_session(commit, doc);
    auto response = co_await session->commit(std::move(commit));
    if (response.ok()) {
      session->committed(*response, doc);
      sessions_[session->id()] = session;
      rest(session);
      co_return doc;
    }
    // Somebody else made the conversation in between.
    if (round > 0 || response.status().code() != Code::kAlreadyExists) {
      co_return response.status();
    }
  }
}

Task<Result<api::Session>> GatewayImpl::get_session(Caller caller, api::GetSessionRequest request) {
  Status status = check_ulid("session_id", request.session_id());
  if (!status.ok()) co_return status;
  auto session = co_await open_session(caller, request.session_id());
  if (!session.ok()) co_return session.status();
  co_return (*session)->doc();
}

Task<Result<api::ListSessionsResponse>> GatewayImpl::list_sessions(
    Caller caller, api::ListSessionsRequest request) {
  uint32_t size = request.page_size();
  std::string cursor;
  Status status = check_page_size(size);
  if (status.ok()) status = parse_page_token(request.page_token(), cursor);
  if (status.ok()) status = check_text("search", request.search(), 0, 200);
  if (status.ok() && !request.search().empty() && !has_word(request.search())) {
    status =
        Status(Code::kInvalidArgument, "search must have words of letters or digits to look for");
  }
  if (!status.ok()) co_return status;
  const std::string owner = owner_key(caller.principal);
  const bool all = caller.may("admin");
  api::ListSessionsResponse out;
  do {
    service::QueryRequest query;
    query.set_collection(kSessions);
    query.set_descending(true);
    query.set_limit(size - static_cast<uint32_t>(out.sessions_size()));
    query.set_cursor(cursor);
    if (!request.search().empty()) {
      query.set_index("title");
      query.set_text(all ? request.search() : "o" + owner + " " + request.search());
    } else if (all) {
      query.set_index("updated");
    } else {
      query.set_index("owner_updated");
      query.set_from(owner);
      query.set_to(owner + "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
    }
    auto page = co_await environment_.world.journal.query(std::move(query));
    if (!page.ok()) co_return page.status();
    for (const auto& document : page->documents()) {
      api::Session session;
      if (!session.ParseFromString(document.value()) || !owns(caller, session.principal()) ||
          (session.archived() && !request.include_archived()) ||
          (session.channel() == kReplayChannel && !request.include_replays())) {
        continue;
      }
      // What is in use is ahead of its document.
      const auto known = sessions_.find(document.key());
      if (known != sessions_.end()) session = known->second->doc();
      *out.add_sessions() = std::move(session);
    }
    cursor = page->next_cursor();
  } while (!cursor.empty() && out.sessions_size() < static_cast<int>(size));
  if (!cursor.empty()) out.set_next_page_token(page_token(cursor));
  co_return out;
}

Task<Result<api::Session>> GatewayImpl::change_session(Caller caller, std::string session_id,
                                                       Change change) {
  Status status = check_ulid("session_id", session_id);
  if (!status.ok()) co_return status;
  for (int round = 0;; ++round) {
    auto opened = co_await open_session(caller, session_id);
    if (!opened.ok()) co_return opened.status();
    const std::shared_ptr<Session> session = *opened;
    const Mutex::Guard guard = co_await session->lock();
    api::Session doc = session->doc();
    tape::SessionEvent event;
    status = change(doc, event);
    if (!status.ok()) co_return status;
    if (event.event_case() == tape::SessionEvent::EVENT_NOT_SET) co_return doc;
    doc.set_updated_at_ms(now_ms());
    service::CommitRequest commit;
    append(commit, session_stream(session_id), session->seq(), event,
           environment_.world.clock.wall_now());
    put_session(commit, doc);
    if (event.has_session_reset()) {
      put_view(commit, session_id, {});
      status = co_await end_approvals(session_id, commit);
      if (!status.ok()) co_return status;
    }
    auto response = co_await session->commit(std::move(commit));
    if (response.ok()) {
      session->committed(*response, doc);
      if (event.has_session_reset()) {
        session->set_view({});
        environment_.approvals.drop_session(session_id);
      }
      co_return doc;
    }
    if (round > 0 || response.status().code() != Code::kFailedPrecondition || !session->idle()) {
      co_return response.status();
    }
    forget(session);
  }
}

Task<Result<api::Session>> GatewayImpl::rename_session(Caller caller,
                                                       api::RenameSessionRequest request) {
  Status status = check_text("title", request.title(), 1, 200);
  if (!status.ok()) co_return status;
  const std::string title = request.title();
  // Named: GCC 12 destroys closures twice that are temporaries of a co_await.
  Change change = [title](api::Session& session, tape::SessionEvent& event) {
    session.set_title(title);
    event.mutable_session_renamed()->set_title(title);
    return Status();
  };
  co_return co_await change_session(std::move(caller), request.session_id(), std::move(change));
}

Task<Result<api::Session>> GatewayImpl::archive_session(Caller caller,
                                                        api::ArchiveSessionRequest request) {
  const bool archived = request.archived();
  Change change = [archived](api::Session& session, tape::SessionEvent& event) {
    if (session.archived() == archived) return Status();
    if (archived && (!session.active_run().empty() || session.queued() > 0)) {
      return Status(Code::kFailedPrecondition,
                    "session " + session.session_id() +
                        " has a run that has not ended; cancel it or wait for it first");
    }
    session.set_archived(archived);
    event.mutable_session_archived()->set_archived(archived);
    return Status();
  };
  co_return co_await change_session(std::move(caller), request.session_id(), std::move(change));
}

Task<Result<api::Session>> GatewayImpl::reset_session(Caller caller,
                                                      api::ResetSessionRequest request) {
  const std::string principal = caller.principal;
  Change change = [principal](api::Session& session, tape::SessionEvent& event) {
    if (!session.active_run().empty() || session.queued() > 0) {
      return Status(Code::kFailedPrecondition,
                    "session " + session.session_id() +
                        " has a run that has not ended; cancel it or wait for it first");
    }
    set_head(session, {});
    session.set_compacted_seq(0);
    session.set_turns(0);
    event.mutable_session_reset()->set_principal(principal);
    return Status();
  };
  co_return co_await change_session(std::move(caller), request.session_id(), std::move(change));
}

Task<Result<api::Session>> GatewayImpl::set_queue_mode(Caller caller,
                                                       api::SetQueueModeRequest request) {
  const tape::QueueMode mode =
      request.mode() == tape::QUEUE_MODE_UNSPECIFIED ? tape::QUEUE_MODE_FOLLOW_UP : request.mode();
  if (!tape::QueueMode_IsValid(mode)) {
    co_return Status(Code::kInvalidArgument, "mode must be follow-up, collect, steer or interrupt");
  }
  Change change = [mode](api::Session& session, tape::SessionEvent& event) {
    if (session.queue_mode() == mode) return Status();
    session.set_queue_mode(mode);
    event.mutable_queue_mode_changed()->set_mode(mode);
    return Status();
  };
  co_return co_await change_session(std::move(caller), request.session_id(), std::move(change));
}

Task<Result<api::ListAgentsResponse>> GatewayImpl::list_agents(Caller, api::ListAgentsRequest) {
  api::ListAgentsResponse out;
  for (const auto& agent : agents_.all()) *out.add_agents() = agents_.describe(agent);
  co_return out;
}

Task<Result<api::Agent>> GatewayImpl::get_agent(Caller, api::GetAgentRequest request) {
  auto agent = agents_.find(request.agent_id());
  if (!agent.ok()) co_return agent.status();
  co_return agents_.describe(**agent);
}

}  // namespace palyra::gateway
