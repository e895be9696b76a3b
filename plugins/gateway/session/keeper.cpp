#include "plugins/gateway/session/keeper.h"

#include "plugins/gateway/session/validate.h"
#include "plugins/gateway/session/view.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

// Records of a session's own tape that stay in the store, so that it goes on at once.
constexpr uint64_t kTail = 64;
constexpr char kErasedText[] = "[erased]";
constexpr char kErasures[] = "erasures";

void put_erasure(service::CommitRequest& commit, const api::Erasure& erasure) {
  auto& put = *commit.add_puts();
  put.set_collection(kErasures);
  put.set_key(Keeper::key_of(erasure));
  put.set_value(erasure.SerializeAsString());
}

}  // namespace

Status Keeper::busy(const Session& session) const {
  if (session.idle() && session.doc().active_run().empty() && session.doc().queued() == 0) {
    return {};
  }
  return {Code::kFailedPrecondition,
          "session " + session.id() +
              " has a run that has not ended; cancel it or wait for it first (palyra runs cancel)"};
}

void Keeper::forget_contexts() {
  // A session that was branched may show another one's turns.
  for (const auto& [id, session] : gateway_.sessions_) session->forget_history();
}

Task<Status> Keeper::archive_stream(std::string stream, uint64_t up_to, Archived* done,
                                    service::CommitResponse* last) {
  for (bool more = up_to > 0; more;) {
    service::ArchiveRequest request;
    request.set_stream(stream);
    request.set_up_to_seq(up_to);
    auto archived = co_await upkeep_.archive(std::move(request));
    if (!archived.ok()) co_return archived.status();
    done->records += archived->records();
    done->payload_bytes += archived->payload_bytes();
    done->file_bytes += archived->file_bytes();
    if (archived->records() > 0) *last = archived->commit();
    more = archived->more();
  }
  co_return Status();
}

Task<Result<Keeper::Archived>> Keeper::archive(std::string session_id) {
  Caller keeper;
  keeper.scopes = {"admin"};
  auto opened = co_await gateway_.open_session(keeper, session_id);
  if (!opened.ok()) co_return opened.status();
  const std::shared_ptr<Session> session = *opened;
  if (Status status = busy(*session); !status.ok()) co_return status;
  auto runs = co_await runs_of(gateway_.environment_.world.journal, session_id);
  if (!runs.ok()) co_return runs.status();
  Archived done;
  service::CommitResponse commit;
  for (const auto& run : *runs) {
    // A run that begins meanwhile is not in the list.
    if (!ended(run.state()) || gateway_.runs_.count(run.run_id()) != 0) continue;
    const Status status =
        co_await archive_stream(run_stream(run.run_id()), run.seq(), &done, &commit);
    if (!status.ok()) co_return status;
  }
  const Mutex::Guard guard = co_await session->lock();
  Status status = busy(*session);
  if (!status.ok()) co_return status;
  if (session->seq() <= kTail) co_return done;
  // The archive writes to the session's stream.
  status = co_await session->take();
  if (status.ok()) status = busy(*session);
  if (!status.ok()) co_return status;
  commit.Clear();
  status =
      co_await archive_stream(session_stream(session_id), session->seq() - kTail, &done, &commit);
  if (commit.appended_size() > 0) session->committed(commit, session->doc());
  if (!status.ok()) co_return status;
  co_return done;
}

Task<Result<service::CommitResponse>> Keeper::erase_stream(std::string stream, uint64_t first,
                                                           uint64_t last, std::string principal,
                                                           std::string reason) {
  service::EraseRecordsRequest request;
  request.set_stream(stream);
  request.set_first_seq(first);
  request.set_last_seq(last);
  request.set_principal(principal);
  request.set_reason(reason);
  return upkeep_.erase(std::move(request));
}

Task<Status> Keeper::empty_run(std::shared_ptr<Session> session, api::Run run) {
  World& world = gateway_.environment_.world;
  // The index must not have read before what is written now and write after it.
  Mutex::Guard index;
  if (gateway_.search_index_) index = co_await gateway_.search_index_->lock();
  service::CommitRequest commit;
  forget_said(commit, run.run_id());
  run.set_text("");
  run.set_input_preview(kErasedText);
  if (run.has_failure()) run.mutable_failure()->set_message(kErasedText);
  put_run(commit, run);
  auto& partial = *commit.add_deletes();
  partial.set_collection(kPartials);
  partial.set_key(run.run_id());
  std::string cursor;
  do {
    service::QueryRequest query;
    query.set_collection(kApprovals);
    query.set_index("run");
    query.set_from(run.run_id());
    query.set_to(run.run_id() + '\0');
    query.set_cursor(cursor);
    auto page = co_await world.journal.query(std::move(query));
    if (!page.ok()) co_return page.status();
    for (const auto& document : page->documents()) {
      api::Approval approval;
      if (!approval.ParseFromString(document.value())) continue;
      approval.mutable_request()->set_arguments_json("");
      approval.mutable_request()->set_explanation(kErasedText);
      approval.mutable_decision()->set_reason("");
      put_approval(commit, approval, world.clock.wall_now());
    }
    cursor = page->next_cursor();
  } while (!cursor.empty());
  auto written = co_await session->commit(std::move(commit));
  co_return written.status();
}

std::string Keeper::key_of(const api::Erasure& erasure) {
  return erasure.run_id().empty() ? "session/" + erasure.session_id() : "run/" + erasure.run_id();
}

Task<Result<std::vector<api::Erasure>>> Keeper::unfinished() {
  std::vector<api::Erasure> found;
  std::string cursor;
  do {
    service::QueryRequest query;
    query.set_collection(kErasures);
    query.set_cursor(cursor);
    auto page = co_await gateway_.environment_.world.journal.query(std::move(query));
    if (!page.ok()) co_return page.status();
    for (const auto& document : page->documents()) {
      api::Erasure erasure;
      if (erasure.ParseFromString(document.value())) found.push_back(std::move(erasure));
    }
    cursor = page->next_cursor();
  } while (!cursor.empty());
  co_return found;
}

Task<Status> Keeper::done(std::string key) {
  service::CommitRequest commit;
  auto& note = *commit.add_deletes();
  note.set_collection(kErasures);
  note.set_key(key);
  auto written = co_await gateway_.environment_.world.journal.commit(std::move(commit));
  co_return written.status();
}

// Whether it may was asked when it began.
Task<Result<api::EraseResponse>> Keeper::resume(api::Erasure erasure) {
  Caller caller;
  caller.principal = erasure.principal();
  caller.scopes = {"admin"};
  if (erasure.run_id().empty()) return erase_session_as(std::move(caller), std::move(erasure));
  return erase_run_as(std::move(caller), std::move(erasure), true);
}

Task<Result<api::EraseResponse>> Keeper::erase_session(Caller caller, std::string session_id,
                                                       std::string reason) {
  Status status = check_ulid("session_id", session_id);
  if (status.ok()) status = check_text("reason", reason, 1, 1024);
  if (!status.ok()) co_return status;
  api::Erasure erasure;
  erasure.set_session_id(session_id);
  erasure.set_principal(caller.principal);
  erasure.set_reason(reason);
  erasure.set_begun_at_ms(gateway_.environment_.world.clock.wall_now() / kNanosPerMilli);
  co_return co_await erase_session_as(std::move(caller), std::move(erasure));
}

Task<Result<api::EraseResponse>> Keeper::erase_session_as(Caller caller, api::Erasure erasure) {
  const std::string session_id = erasure.session_id();
  const std::string reason = erasure.reason();
  Status status;
  auto opened = co_await gateway_.open_session(caller, session_id);
  if (!opened.ok()) co_return opened.status();
  const std::shared_ptr<Session> session = *opened;
  const Mutex::Guard guard = co_await session->lock();
  if (status = busy(*session); !status.ok()) co_return status;

  // Nothing of it is context any more, before anything is removed.
  api::Session doc = session->doc();
  doc.set_title(kErasedText);
  set_head(doc, tape::TurnRef());
  doc.set_turns(0);
  doc.set_compacted_seq(0);
  tape::SessionEvent event;
  event.mutable_session_reset()->set_principal(caller.principal);
  service::CommitRequest commit;
  append(commit, session_stream(session_id), session->seq(), event,
         gateway_.environment_.world.clock.wall_now());
  put_session(commit, doc);
  put_view(commit, session_id, store::SessionView());
  put_erasure(commit, erasure);
  auto written = co_await session->commit(std::move(commit));
  if (!written.ok()) co_return written.status();
  session->committed(*written, doc);
  session->set_view(store::SessionView());
  gateway_.environment_.approvals.drop_session(session_id);

  auto runs = co_await runs_of(gateway_.environment_.world.journal, session_id);
  if (!runs.ok()) co_return runs.status();
  api::EraseResponse response;
  for (auto& run : *runs) {
    status = co_await empty_run(session, run);
    if (!status.ok()) co_return status;
    auto erased = co_await erase_stream(run_stream(run.run_id()), 1, 0, caller.principal, reason);
    if (!erased.ok()) co_return erased.status();
    response.set_runs(response.runs() + 1);
  }
  auto erased = co_await erase_stream(session_stream(session_id), 1, 0, caller.principal, reason);
  if (!erased.ok()) co_return erased.status();
  session->committed(*erased, doc);
  forget_contexts();
  co_return response;
}

Task<Result<std::vector<uint64_t>>> Keeper::messages_for(std::string session_id,
                                                         std::string run_id) {
  std::vector<uint64_t> found;
  uint64_t next = 1;
  for (;;) {
    service::ReadRequest request;
    request.set_stream(session_stream(session_id));
    request.set_from_seq(next);
    auto page = co_await gateway_.environment_.world.journal.read(std::move(request));
    if (!page.ok()) co_return page.status();
    for (const auto& record : page->records()) {
      tape::SessionEvent event;
      next = record.seq() + 1;
      if (record.erased() || record.type() != "input_accepted" ||
          !event.ParseFromString(record.payload())) {
        continue;
      }
      if (event.input_accepted().run_id() == run_id) found.push_back(record.seq());
    }
    if (page->records().empty() || next > page->head_seq()) co_return found;
  }
}

Task<Result<api::EraseResponse>> Keeper::erase_run(Caller caller, std::string run_id,
                                                   std::string reason) {
  const Status status = check_text("reason", reason, 1, 1024);
  if (!status.ok()) co_return status;
  api::Erasure erasure;
  erasure.set_run_id(run_id);
  erasure.set_principal(caller.principal);
  erasure.set_reason(reason);
  erasure.set_begun_at_ms(gateway_.environment_.world.clock.wall_now() / kNanosPerMilli);
  co_return co_await erase_run_as(std::move(caller), std::move(erasure), false);
}

Task<Result<api::EraseResponse>> Keeper::erase_run_as(Caller caller, api::Erasure erasure,
                                                      bool begun) {
  const std::string run_id = erasure.run_id();
  const std::string reason = erasure.reason();
  auto run = co_await gateway_.visible_run(caller, run_id);
  if (!run.ok()) co_return run.status();
  if (!ended(run->state()) || gateway_.runs_.count(run_id) != 0) {
    co_return Status(Code::kFailedPrecondition,
                     "run " + run_id + " has not ended; first: palyra runs cancel " + run_id);
  }
  auto opened = co_await gateway_.open_session(caller, run->session_id());
  if (!opened.ok()) co_return opened.status();
  const std::shared_ptr<Session> session = *opened;
  const Mutex::Guard guard = co_await session->lock();
  api::Session doc = session->doc();
  // The title of a session is the beginning of its first message.
  if (!begun) {
    erasure.set_with_title(!doc.title().empty() &&
                           (run->input_preview().rfind(doc.title(), 0) == 0 ||
                            title_of(run->input_preview()).rfind(doc.title(), 0) == 0));
    service::CommitRequest commit;
    put_erasure(commit, erasure);
    if (erasure.with_title()) {
      doc.set_title(kErasedText);
      tape::SessionEvent event;
      event.mutable_session_renamed()->set_title(kErasedText);
      append(commit, session_stream(session->id()), session->seq(), event,
             gateway_.environment_.world.clock.wall_now());
      put_session(commit, doc);
    }
    auto written = co_await session->commit(std::move(commit));
    if (!written.ok()) co_return written.status();
    if (erasure.with_title()) session->committed(*written, doc);
  }
  if (erasure.with_title()) {
    // The record that made the session has the title, too.
    auto erased =
        co_await erase_stream(session_stream(session->id()), 1, 1, caller.principal, reason);
    if (!erased.ok()) co_return erased.status();
    session->committed(*erased, doc);
  }
  const Status status = co_await empty_run(session, *run);
  if (!status.ok()) co_return status;
  auto messages = co_await messages_for(session->id(), run_id);
  if (!messages.ok()) co_return messages.status();
  for (const uint64_t seq : *messages) {
    auto erased =
        co_await erase_stream(session_stream(session->id()), seq, seq, caller.principal, reason);
    if (!erased.ok()) co_return erased.status();
    session->committed(*erased, session->doc());
  }
  auto erased = co_await erase_stream(run_stream(run_id), 1, 0, caller.principal, reason);
  if (!erased.ok()) co_return erased.status();
  forget_contexts();
  api::EraseResponse response;
  response.set_runs(1);
  co_return response;
}

}  // namespace palyra::gateway
