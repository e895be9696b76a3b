// A conversation as a tree of turns: branch, rewind, undo, and the list of them.
#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/session/gateway_impl.h"
#include "plugins/gateway/session/validate.h"

#include <charconv>
#include <utility>

namespace palyra::gateway {
namespace {

constexpr size_t kPreviewBytes = 200;

Status busy(const api::Session& session) {
  if (session.active_run().empty() && session.queued() == 0) return {};
  return Status(Code::kFailedPrecondition,
                "session " + session.session_id() +
                    " has a run that has not ended; cancel it or wait for it first");
}

// Where a list goes on: with the turn that the head leads to next, or with this record of that
// session's stream.
struct ListPlace {
  tape::TurnRef next;
  std::string session;
  uint64_t from = 0;
  bool compacted = false;  // summaries stand for the turns that follow
};

std::string list_token(const ListPlace& place) {
  return page_token(place.next.session_id() + ":" + place.next.turn_id() + ":" +
                    std::to_string(place.next.seq()) + ":" + std::to_string(place.from) + ":" +
                    (place.compacted ? "1" : "0") + ":" + place.session);
}

Status parse_list_token(const std::string& token, ListPlace* place) {
  std::string text;
  Status status = parse_page_token(token, text);
  if (!status.ok()) return status;
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ':') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  const auto number = [](const std::string& part, uint64_t* out) {
    const auto parsed = std::from_chars(part.data(), part.data() + part.size(), *out);
    return parsed.ec == std::errc() && parsed.ptr == part.data() + part.size();
  };
  uint64_t seq = 0;
  if (parts.size() != 6 || !number(parts[2], &seq) || !number(parts[3], &place->from) ||
      parts[0].size() > 64 || parts[1].size() > 64 || parts[5].size() > 64) {
    return Status(Code::kInvalidArgument, "page_token is not one that this server gave");
  }
  place->next.set_session_id(parts[0]);
  place->next.set_turn_id(parts[1]);
  place->next.set_seq(seq);
  place->compacted = parts[4] == "1";
  place->session = parts[5];
  return {};
}

// From the first one to this one.
Task<Result<uint32_t>> turns_up_to(Journal& journal, tape::TurnRef at) {
  TurnWalk walk(journal, std::move(at));
  for (uint32_t turns = 0;; ++turns) {
    auto next = co_await walk.next();
    if (!next.ok()) co_return next.status();
    if (!*next) co_return turns;
  }
}

}  // namespace

Task<Result<api::Session>> GatewayImpl::edit_session(Caller caller, std::string session_id,
                                                     Editor editor) {
  const Status status = check_ulid("session_id", session_id);
  if (!status.ok()) co_return status;
  for (int round = 0;; ++round) {
    auto opened = co_await open_session(caller, session_id);
    if (!opened.ok()) co_return opened.status();
    const std::shared_ptr<Session> session = *opened;
    const Mutex::Guard guard = co_await session->lock();
    auto edit = co_await editor(session);
    if (!edit.ok()) co_return edit.status();
    if (edit->event.event_case() == tape::SessionEvent::EVENT_NOT_SET) co_return edit->doc;
    edit->doc.set_updated_at_ms(now_ms());
    service::CommitRequest commit;
    append(commit, session_stream(session_id), session->seq(), edit->event,
           environment_.world.clock.wall_now());
    put_session(commit, edit->doc);
    if (edit->view) put_view(commit, session_id, *edit->view);
    auto response = co_await session->commit(std::move(commit));
    if (response.ok()) {
      session->committed(*response, edit->doc);
      if (edit->view) session->set_view(std::move(*edit->view));
      session->forget_history();
      co_return edit->doc;
    }
    if (round > 0 || response.status().code() != Code::kFailedPrecondition || !session->idle()) {
      co_return response.status();
    }
    forget(session);
  }
}

Task<Result<api::Session>> GatewayImpl::branch_session(Caller caller,
                                                       api::BranchSessionRequest request) {
  Status status = check_ulid("session_id", request.session_id());
  if (status.ok() && !request.turn_id().empty()) status = check_ulid("turn_id", request.turn_id());
  if (status.ok()) status = check_text("title", request.title(), 0, 200);
  if (status.ok()) status = check_text("idempotency_key", request.idempotency_key(), 0, 128);
  if (!status.ok()) co_return status;
  if (draining_ || environment_.stopping) {
    co_return Status(Code::kUnavailable, "the daemon is stopping and makes no new sessions");
  }
  auto opened = co_await open_session(caller, request.session_id());
  if (!opened.ok()) co_return opened.status();
  const std::shared_ptr<Session> source = *opened;
  std::string key;
  for (int round = 0;; ++round) {
    if (!request.idempotency_key().empty()) {
      key = input_key(caller.principal, request.idempotency_key());
      auto before = co_await gateway::load<api::RouteMessageResponse>(
          environment_.world.journal, kInputs, key, "branch with this key");
      if (before.ok()) {
        api::GetSessionRequest get;
        get.set_session_id(before->session_id());
        co_return co_await get_session(caller, std::move(get));
      }
      if (before.status().code() != Code::kNotFound) co_return before.status();
    }
    tape::TurnRef at = source->head();
    if (!request.turn_id().empty() || (at.seq() == 0 && !at.turn_id().empty())) {
      const std::string turn_id = request.turn_id().empty() ? at.turn_id() : request.turn_id();
      auto found = co_await find_turn(environment_.world.journal, request.session_id(), turn_id);
      if (!found.ok()) co_return found.status();
      at = found->at;
    }
    auto view = co_await source->view();
    if (!view.ok()) co_return view.status();

    const std::string title = request.title().empty() ? source->doc().title() : request.title();
    api::Session doc = new_session(caller, "", source->doc().agent_id(), title);
    set_head(doc, at);
    doc.set_queue_mode(source->doc().queue_mode());
    auto turns = co_await turns_up_to(environment_.world.journal, at);
    if (!turns.ok()) co_return turns.status();
    doc.set_turns(*turns);
    const auto session =
        std::make_shared<Session>(environment_.world, environment_.options, doc, 0);
    const std::string stream = session_stream(doc.session_id());
    const int64_t now = environment_.world.clock.wall_now();
    service::CommitRequest commit;
    tape::SessionEvent event;
    auto& created = *event.mutable_session_created();
    created.set_session_id(doc.session_id());
    created.set_principal(doc.principal());
    created.set_device_id(doc.device_id());
    created.set_channel(doc.channel());
    created.set_agent_id(doc.agent_id());
    created.set_title(doc.title());
    if (!at.turn_id().empty()) *created.mutable_branched_from() = at;
    append(commit, stream, 0, event, now);
    for (const auto& pin : view->pins()) {
      *event.mutable_fact_pinned() = pin;
      append(commit, stream, 0, event, now);
    }
    for (const auto& compacted : view->compactions()) {
      *event.mutable_compacted() = compacted;
      append(commit, stream, 0, event, now);
      if (doc.compacted_seq() == 0) doc.set_compacted_seq(last_seq(commit, stream, 0));
    }
    put_session(commit, doc);
    if (!view->pins().empty() || !view->compactions().empty()) {
      put_view(commit, doc.session_id(), *view);
    }
    if (!key.empty()) {
      api::RouteMessageResponse first;
      first.set_session_id(doc.session_id());
      auto& put = *commit.add_puts();
      put.set_collection(kInputs);
      put.set_key(key);
      put.set_value(first.SerializeAsString());
      put.set_expected_version(0);
    }
    auto response = co_await session->commit(std::move(commit));
    if (response.ok()) {
      session->committed(*response, doc);
      session->set_view(std::move(*view));
      sessions_[session->id()] = session;
      rest(session);
      co_return doc;
    }
    // Somebody else used the key in between.
    if (round > 0 || key.empty() || response.status().code() != Code::kFailedPrecondition) {
      co_return response.status();
    }
  }
}

// Where the head is so many turns back; no turn = before the first.
Task<Result<tape::TurnRef>> GatewayImpl::turns_back(std::shared_ptr<Session> session,
                                                    uint32_t back) {
  TurnWalk walk(environment_.world.journal, session->head());
  tape::TurnRef at;
  for (uint32_t i = 0; i <= back; ++i) {
    auto next = co_await walk.next();
    if (!next.ok()) co_return next.status();
    if (*next) {
      at = (*next)->at;
    } else if (i < back) {
      co_return Status(Code::kOutOfRange,
                       i == 0
                           ? "session " + session->id() + " has no turns to go back"
                           : "session " + session->id() + " goes back " + std::to_string(i) +
                                 (i == 1 ? " turn" : " turns") + ", not " + std::to_string(back));
    } else {
      at.Clear();
    }
  }
  co_return at;
}

// Where the head was before the last rewind that was not taken back.
Task<Result<tape::TurnRef>> GatewayImpl::before_rewind(std::shared_ptr<Session> session) {
  const Status nothing(
      Code::kFailedPrecondition,
      "there is no rewind to take back since the last turn of session " + session->id());
  uint64_t from = session->seq();
  int taken_back = 0;
  while (from > 0) {
    service::ReadRequest request;
    request.set_stream(session_stream(session->id()));
    request.set_from_seq(from);
    request.set_limit(64);
    request.set_descending(true);
    auto page = co_await environment_.world.journal.read(std::move(request));
    if (!page.ok()) co_return page.status();
    if (page->records().empty()) break;
    for (const auto& record : page->records()) {
      from = record.seq() - 1;
      tape::SessionEvent event;
      if (record.type() == "turn_added" || record.type() == "session_reset") co_return nothing;
      if (record.type() != "head_moved" || !event.ParseFromString(record.payload())) continue;
      if (event.head_moved().reason() == "redo") {
        ++taken_back;
      } else if (taken_back > 0) {
        --taken_back;
      } else {
        if (event.head_moved().from_turn().empty()) co_return tape::TurnRef();
        auto found = co_await find_turn(environment_.world.journal, session->id(),
                                        event.head_moved().from_turn());
        if (!found.ok()) co_return found.status();
        co_return found->at;
      }
    }
  }
  co_return nothing;
}

Task<Result<api::Session>> GatewayImpl::rewind_session(Caller caller,
                                                       api::RewindSessionRequest request) {
  Status status = check_text("reason", request.reason(), 0, 64);
  if (status.ok() && request.to_case() == api::RewindSessionRequest::kTurnId) {
    status = check_ulid("turn_id", request.turn_id());
  }
  if (status.ok() &&
      (request.to_case() == api::RewindSessionRequest::TO_NOT_SET ||
       (request.has_back() && request.back() == 0) || (request.has_redo() && !request.redo()))) {
    status = Status(Code::kInvalidArgument, "say where to: turn_id, back (at least 1) or redo");
  }
  if (!status.ok()) co_return status;
  std::string reason = request.reason().empty() ? "rewind" : request.reason();
  if (request.has_redo()) reason = "redo";
  if (!request.has_redo() && reason == "redo") reason = "rewind";
  const std::string principal = caller.principal;
  Editor editor = [this, request, reason,
                   principal](std::shared_ptr<Session> session) -> Task<Result<Edit>> {
    return rewound(std::move(session), request, reason, principal);
  };
  co_return co_await edit_session(std::move(caller), request.session_id(), std::move(editor));
}

Task<Result<GatewayImpl::Edit>> GatewayImpl::rewound(std::shared_ptr<Session> session,
                                                     api::RewindSessionRequest request,
                                                     std::string reason, std::string principal) {
  Edit edit;
  edit.doc = session->doc();
  const Status status = busy(edit.doc);
  if (!status.ok()) co_return status;
  tape::TurnRef at;
  if (request.has_turn_id()) {
    auto found = co_await find_turn(environment_.world.journal, session->id(), request.turn_id());
    if (!found.ok()) co_return found.status();
    at = found->at;
  } else {
    auto found = request.has_back() ? turns_back(session, request.back()) : before_rewind(session);
    auto where = co_await std::move(found);
    if (!where.ok()) co_return where.status();
    at = std::move(*where);
  }
  if (at.turn_id() == edit.doc.head_turn()) co_return edit;
  auto& moved = *edit.event.mutable_head_moved();
  moved.set_turn_id(at.turn_id());
  if (!at.turn_id().empty()) *moved.mutable_turn_at() = at;
  moved.set_principal(principal);
  moved.set_reason(reason);
  moved.set_from_turn(edit.doc.head_turn());
  set_head(edit.doc, at);
  co_return edit;
}

Task<void> GatewayImpl::fill_previews(api::TurnInfo* info) {
  auto run = co_await gateway::load<api::Run>(environment_.world.journal, kRuns, info->run_id(),
                                              "run " + info->run_id());
  // Its document may be gone; the turn is still one.
  if (!run.ok()) co_return;
  info->set_input_preview(run->input_preview());
  info->set_answer_preview(std::string(utf8::prefix(run->text(), kPreviewBytes)));
}

Task<Result<api::ListTurnsResponse>> GatewayImpl::list_turns(Caller caller,
                                                             api::ListTurnsRequest request) {
  uint32_t size = request.page_size();
  Status status = check_ulid("session_id", request.session_id());
  if (status.ok()) status = check_page_size(size);
  if (!status.ok()) co_return status;
  auto opened = co_await open_session(caller, request.session_id());
  if (!opened.ok()) co_return opened.status();
  const std::shared_ptr<Session> session = *opened;
  auto view = co_await session->view();
  if (!view.ok()) co_return view.status();
  ListPlace place;
  place.next = session->head();
  place.session = session->id();
  place.from = session->seq();
  if (!request.page_token().empty()) {
    status = parse_list_token(request.page_token(), &place);
    if (!status.ok()) co_return status;
  }
  // A token is the client's word: the walk stays with who may see it.
  for (const std::string& named : {place.next.session_id(), place.session}) {
    if (named.empty() || named == session->id()) continue;
    auto other = co_await open_session(caller, named);
    if (!other.ok()) co_return other.status();
  }
  api::ListTurnsResponse out;
  const auto add = [&](const FoundTurn& found, bool on_path) {
    auto& info = *out.add_turns();
    info = turn_info(found);
    info.set_on_path(on_path);
    info.set_head(found.at.turn_id() == session->doc().head_turn());
    if (!on_path) return;
    place.compacted = place.compacted || compaction_up_to(*view, found.at.turn_id()) != nullptr;
    info.set_compacted(place.compacted);
    place.next = found.turn.parent_at();
    if (place.next.seq() == 0) {
      place.next.set_turn_id(found.turn.parent());
      place.next.set_session_id(found.at.session_id());
    }
  };
  const auto size_left = [&] { return out.turns_size() < static_cast<int>(size); };
  if (!request.all()) {
    TurnWalk walk(environment_.world.journal, place.next);
    while (size_left()) {
      auto found = co_await walk.next();
      if (!found.ok()) co_return found.status();
      if (!*found) {
        place.next.Clear();
        break;
      }
      add(**found, true);
    }
    place.from = 0;
    if (!place.next.turn_id().empty()) out.set_next_page_token(list_token(place));
  } else {
    while (place.from > 0 && size_left()) {
      service::ReadRequest read;
      read.set_stream(session_stream(place.session));
      read.set_from_seq(place.from);
      read.set_descending(true);
      auto page = co_await environment_.world.journal.read(std::move(read));
      if (!page.ok()) co_return page.status();
      if (page->records().empty()) place.from = 0;
      for (const auto& record : page->records()) {
        if (!size_left()) break;
        place.from = record.seq() - 1;
        tape::SessionEvent event;
        if (record.type() != "turn_added" || !event.ParseFromString(record.payload())) continue;
        FoundTurn found;
        found.at.set_turn_id(event.turn_added().turn_id());
        found.at.set_session_id(place.session);
        found.at.set_seq(record.seq());
        found.turn = event.turn_added();
        found.wall_time_ns = record.wall_time_ns();
        add(found, found.at.turn_id() == place.next.turn_id());
      }
      if (place.from > 0) continue;
      auto origin = co_await branched_from(environment_.world.journal, place.session);
      if (!origin.ok()) co_return origin.status();
      place.session = origin->session_id();
      place.from = origin->seq();
    }
    if (place.from > 0) out.set_next_page_token(list_token(place));
  }
  for (auto& info : *out.mutable_turns()) co_await fill_previews(&info);
  co_return out;
}

}  // namespace palyra::gateway
