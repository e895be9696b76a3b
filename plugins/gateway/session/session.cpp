#include "plugins/gateway/session/session.h"

#include "plugins/common/digest/digest.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
Task<Result<std::shared_ptr<Session>>> Session::load(World& world, const Options& options,
                                                     std::string session_id) {
  api::Session doc;
  doc.set_session_id(std::move(session_id));
  auto session = std::make_shared<Session>(world, options, std::move(doc), 0);
  const Status status = co_await session->read();
  if (!status.ok()) co_return status;
  co_return session;
}

// The head first: a document that is newer than it fails the next commit, and one that is older
// would pass it.
Task<Status> Session::read() {
  service::ReadRequest request;
  request.set_stream(session_stream(id()));
  request.set_limit(1);
  request.set_descending(true);
  auto page = co_await world_.journal.read(std::move(request));
  if (!page.ok()) co_return page.status();
  auto doc =
      co_await gateway::load<api::Session>(world_.journal, kSessions, id(), "session " + id());
  if (!doc.ok()) co_return doc.status();
  seq_ = page->head_seq();
  doc_ = std::move(*doc);
  // The start of a run does not always rewrite the document, so that this record may tell more.
  run_may_be_active_ = !doc_.active_run().empty() || doc_.queued() > 0 ||
                       (!page->records().empty() && page->records(0).type() == "input_taken");
  // The constructor took it for a new session, which has no view.
  view_.reset();
  forget_history();
  co_return Status();
}

Task<Status> Session::take() {
  if (token_ == 0) {
    service::CommitRequest nothing;
    const auto taken = co_await write(std::move(nothing), false);
    if (!taken.ok()) co_return taken.status();
  }
  co_return co_await read();
}

Task<Result<service::CommitResponse>> Session::commit(service::CommitRequest request) {
  return write(std::move(request), true);
}

// `read_before`: `request` comes from what is known of the session, not from what is read after it.
Task<Result<service::CommitResponse>> Session::write(service::CommitRequest request,
                                                     bool read_before) {
  Mutex::Guard taking;
  if (token_ == 0) {
    taking = co_await lease_mutex_.lock();
    if (token_ != 0) taking.release();
  }
  const std::string lease = session_stream(id());
  // Until then another daemon may have written.
  if (token_ == 0 && read_before) expect(request, lease, seq_);
  const int64_t now = world_.clock.mono_now();
  const bool renew = now - lease_renewed_ns_ > options_.lease_ttl_ms * kNanosPerMilli / 3;
  if (token_ == 0 || renew) {
    auto& take = *request.add_takes();
    take.set_name(lease);
    take.set_owner(options_.lease_owner);
    take.set_ttl_ms(options_.lease_ttl_ms);
    take.set_token(token_);
  } else {
    auto& fence = *request.add_fences();
    fence.set_name(lease);
    fence.set_token(token_);
  }
  const bool took = request.takes_size() > 0;
  auto response = co_await world_.journal.commit(std::move(request));
  if (response.ok() && took && response->lease_tokens_size() > 0) {
    token_ = response->lease_tokens(0);
    lease_renewed_ns_ = now;
  }
  co_return response;
}

void Session::committed(const service::CommitResponse& response, api::Session doc) {
  if (const auto* landed = appended(response, session_stream(id()))) seq_ = landed->last_seq();
  doc_ = std::move(doc);
}

Task<Result<History>> Session::history(int64_t tokens) {
  // Again, if it was forgotten meanwhile, or ends short of a window larger than all before.
  while (!view_ || !history_ || (!history_->complete && tokens > history_window_)) {
    auto shown = co_await view();
    if (!shown.ok()) co_return shown.status();
    const uint64_t forgotten = forgotten_;
    auto found = co_await read_history(tokens, std::move(*shown));
    if (!found.ok()) co_return found.status();
    if (forgotten != forgotten_) continue;
    history_ = std::move(*found);
    history_window_ = tokens;
    history_tokens_ = 0;
    for (const HistoryTurn& turn : history_->turns) history_tokens_ += turn.piece.segment.tokens();
  }
  history_window_ = std::max(history_window_, tokens);
  auto& turns = history_->turns;
  while (turns.size() > 1 &&
         history_tokens_ - turns.front().piece.segment.tokens() >= history_window_) {
    history_tokens_ -= turns.front().piece.segment.tokens();
    turns.pop_front();
    history_->complete = false;
  }
  // A smaller window shows less of what is kept, which stays for the others.
  int64_t left_out = 0;
  size_t first = 0;
  while (first + 1 < turns.size()) {
    const int64_t older = left_out + turns[first].piece.segment.tokens();
    if (history_tokens_ - older < tokens) break;
    left_out = older;
    ++first;
  }
  History out;
  out.summary = history_->summary;
  out.compacted = history_->compacted;
  out.complete = history_->complete && first == 0;
  out.turns.assign(turns.begin() + static_cast<std::ptrdiff_t>(first), turns.end());
  if (!view_->pins().empty()) {
    out.pinned = run::pinned_piece(pinned_facts(*view_));
    out.pinned->segment.set_blob_digest(view_->pins_digest());
  }
  co_return out;
}

Task<Result<History>> Session::originals(int64_t tokens) {
  return read_history(tokens, store::SessionView());
}

Task<Result<History>> Session::read_history(int64_t tokens, store::SessionView view) {
  History found;
  int64_t total = 0;
  TurnWalk walk(world_.journal, head());
  for (;;) {
    auto next = co_await walk.next();
    if (!next.ok()) co_return next.status();
    if (!*next) break;
    const FoundTurn turn = std::move(**next);
    if (const auto* compacted = compaction_up_to(view, turn.at.turn_id())) {
      auto summary = co_await read_summary(*compacted);
      if (!summary.ok()) co_return summary.status();
      // One whose artifact is gone is as if it were not there.
      if (*summary) {
        found.summary = std::move(**summary);
        found.compacted = *compacted;
        break;
      }
    }
    if (total >= tokens) {
      found.complete = false;
      break;
    }
    auto piece = co_await read_turn(world_.journal, turn.turn);
    if (!piece.ok()) co_return piece.status();
    if (piece->messages.empty()) continue;
    total += piece->segment.tokens();
    found.turns.push_front({turn.at, std::move(*piece)});
  }
  co_return found;
}

Task<Result<std::optional<run::Piece>>> Session::read_summary(tape::Compacted compacted) {
  std::optional<run::Piece> out;
  auto blob = co_await world_.journal.get_blob(compacted.artifact_digest());
  if (!blob.ok() && blob.status().code() != Code::kNotFound) co_return blob.status();
  tape::CompactionArtifact artifact;
  if (blob.ok() && artifact.ParseFromString(*blob)) {
    out = run::summary_piece(artifact, summary_source(compacted.artifact_digest()));
    out->segment.set_blob_digest(compacted.artifact_digest());
  }
  co_return out;
}

void Session::add_turn(HistoryTurn turn) {
  if (!history_) return;
  history_tokens_ += turn.piece.segment.tokens();
  history_->turns.push_back(std::move(turn));
}

void Session::forget_history() {
  history_.reset();
  ++forgotten_;
}

Task<Result<store::SessionView>> Session::view() {
  if (!view_) {
    auto loaded = co_await load_view(world_.journal, id());
    if (!loaded.ok()) co_return loaded.status();
    if (!view_) view_ = std::move(*loaded);
  }
  co_return *view_;
}

void Session::set_view(store::SessionView view) {
  view_ = std::move(view);
  forget_history();
}

tape::TurnRef Session::head() const {
  tape::TurnRef head;
  head.set_turn_id(doc_.head_turn());
  head.set_session_id(doc_.head_session().empty() ? id() : doc_.head_session());
  head.set_seq(doc_.head_seq());
  return head;
}

void set_head(api::Session& doc, const tape::TurnRef& head) {
  doc.set_head_turn(head.turn_id());
  doc.set_head_session(head.turn_id().empty() ? "" : head.session_id());
  doc.set_head_seq(head.turn_id().empty() ? 0 : head.seq());
}

}  // namespace palyra::gateway
