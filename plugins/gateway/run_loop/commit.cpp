// What a commit of a run holds: its records, its document, and what ends or is summarised with it.
#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/run_loop/backoff.h"
#include "plugins/gateway/run_loop/run_loop.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {

void RunLoop::fill_doc() {
  doc_.set_run_id(state_.run_id());
  doc_.set_session_id(state_.created.session_id());
  doc_.set_agent_id(state_.created.agent().agent_id());
  doc_.set_model(state_.created.agent().model());
  doc_.set_principal(state_.created.principal());
  if (doc_.created_at_ms() == 0) doc_.set_created_at_ms(state_.last_ns / kNanosPerMilli);
  doc_.set_input_preview(state_.compacts()
                             ? std::string("(summary of older turns)")
                             : std::string(utf8::prefix(state_.created.input_text(), 200)));
  doc_.set_state(run::run_state(state_));
  doc_.set_wait_reason(run::wait_reason(state_));
  doc_.set_seq(state_.last_seq);
  doc_.set_inputs_added(static_cast<uint32_t>(state_.inputs.size()));
  *doc_.mutable_usage() = state_.usage;
  if (state_.terminal()) {
    doc_.set_finished_at_ms(state_.last_ns / kNanosPerMilli);
    // A document holds at most 1 MiB; the whole answer is on the tape.
    doc_.set_text(std::string(utf8::prefix(state_.final_text, 512 * 1024)));
    if (state_.phase == run::Phase::kFailed) *doc_.mutable_failure() = state_.failure;
  }
}

void RunLoop::note_for_commit(const tape::RunEvent& event, service::CommitRequest& request) {
  if (event.has_approval_requested()) {
    api::Approval approval;
    *approval.mutable_request() = event.approval_requested();
    approval.set_run_id(state_.run_id());
    approval.set_session_id(session_->id());
    approval.set_principal(state_.created.principal());
    approval.set_requested_at_ms(stamp() / kNanosPerMilli);
    put_approval(request, approval, stamp());
    approvals_[approval.request().approval_id()] = std::move(approval);
  } else if (event.has_approval_decided()) {
    const auto found = approvals_.find(event.approval_decided().approval_id());
    if (found == approvals_.end()) return;
    *found->second.mutable_decision() = event.approval_decided();
    put_approval(request, found->second, stamp());
  } else if (event.has_model_turn_finished() || event.has_model_turn_failed() ||
             event.has_model_turn_interrupted()) {
    if (!partial_stored_) return;
    auto& removed = *request.add_deletes();
    removed.set_collection(kPartials);
    removed.set_key(state_.run_id());
    partial_stored_ = false;
  }
}

// Questions that the end of the run leaves open.
void RunLoop::close_approvals(service::CommitRequest& request) {
  for (auto& [id, approval] : approvals_) {
    if (approval.has_decision()) continue;
    auto& decision = *approval.mutable_decision();
    decision.set_approval_id(id);
    decision.set_verdict(tape::APPROVAL_VERDICT_EXPIRED);
    decision.set_reason("the run ended first");
    put_approval(request, approval, stamp());
  }
}

void RunLoop::add_turn_record(service::CommitRequest& request, api::Session& session) {
  const int64_t now = stamp();
  session.set_updated_at_ms(now / kNanosPerMilli);
  session.set_active_run("");
  const bool said = !state_.compacts() &&
                    (state_.phase == run::Phase::kCompleted ||
                     std::any_of(state_.turns.begin(), state_.turns.end(),
                                 [](const run::Turn& turn) { return turn.finished_seq != 0; }));
  if (said) {
    const std::string turn_id = environment_.world.ids.ulid();
    run::Piece piece = run::history_piece(state_, "turn " + turn_id);
    piece.segment.set_stream(run_stream(state_.run_id()));
    piece.segment.set_first_seq(1);
    piece.segment.set_last_seq(state_.last_seq);
    tape::SessionEvent event;
    auto& added = *event.mutable_turn_added();
    added.set_turn_id(turn_id);
    added.set_parent(session.head_turn());
    if (session.head_seq() != 0) {
      added.mutable_parent_at()->set_turn_id(session.head_turn());
      added.mutable_parent_at()->set_session_id(session.head_session());
      added.mutable_parent_at()->set_seq(session.head_seq());
    }
    added.set_run_id(state_.run_id());
    added.set_first_seq(1);
    added.set_last_seq(state_.last_seq);
    added.set_tokens(piece.segment.tokens());
    const std::string stream = session_stream(session_->id());
    append(request, stream, session_->seq(), event, now);
    finished_turn_.emplace();
    finished_turn_->at.set_turn_id(turn_id);
    finished_turn_->at.set_session_id(session_->id());
    finished_turn_->at.set_seq(last_seq(request, stream, session_->seq()));
    finished_turn_->piece = std::move(piece);
    set_head(session, finished_turn_->at);
    session.set_turns(session.turns() + 1);
  }
  put_session(request, session);
}

// The session shows the covered turns as the summary from this commit on.
Task<Status> RunLoop::add_compaction_record(service::CommitRequest& request,
                                            api::Session* session) {
  auto view = co_await session_->view();
  if (!view.ok()) co_return view.status();
  tape::SessionEvent event;
  *event.mutable_compacted() = *compacted_;
  const std::string stream = session_stream(session_->id());
  append(request, stream, session_->seq(), event, stamp());
  fold_view(*view, event);
  put_view(request, session_->id(), *view);
  if (session->compacted_seq() == 0) {
    session->set_compacted_seq(last_seq(request, stream, session_->seq()));
  }
  new_view_ = std::move(*view);
  co_return Status();
}

Task<Status> RunLoop::commit() {
  service::CommitRequest request = std::move(opening_.commit);
  opening_.commit.Clear();
  std::optional<api::Session> session_doc = std::move(opening_.session_doc);
  opening_.session_doc.reset();

  const bool last = state_.terminal() && state_.started.loop_version() != 0;
  if (last || compacted_) {
    if (!opening_.guard) opening_.guard = co_await session_->lock();
    // The opening may have the document already; only the last state of it is wanted.
    api::Session session = session_doc ? *session_doc : session_->doc();
    if (session_doc) {
      auto& puts = *request.mutable_puts();
      for (int i = puts.size(); i-- > 0;) {
        if (puts.Get(i).collection() == kSessions) puts.DeleteSubrange(i, 1);
      }
    }
    for (Backoff backoff(environment_.world); compacted_;) {
      const Status status = co_await add_compaction_record(request, &session);
      if (environment_.stopping) co_return status;
      if (status.ok()) {
        compacted_.reset();
        if (!last) put_session(request, session);
        break;
      }
      if (!try_again(status)) {
        session_->give_up();
        co_return status;
      }
      co_await backoff.wait();
      if (environment_.stopping) co_return status;
    }
    if (last) add_turn_record(request, session);
    session_doc = std::move(session);
  }
  const std::string stream = run_stream(state_.run_id());
  for (const auto& pending : pending_) {
    append(request, stream, committed_seq_, *pending.event, pending.wall_ns);
    note_for_commit(*pending.event, request);
  }
  if (state_.terminal()) close_approvals(request);
  fill_doc();
  if (doc_.state() != stored_state_ || doc_.wait_reason() != stored_reason_) {
    put_run(request, doc_);
  }

  Backoff backoff(environment_.world);
  // For another attempt; one block of bytes costs less than a copy of the message.
  const std::string kept = request.SerializeAsString();
  for (;;) {
    auto response = co_await session_->commit(std::move(request));
    if (environment_.stopping && !response.ok()) co_return response.status();
    if (response.ok()) {
      after_commit(*response, session_doc);
      co_return Status();
    }
    if (opening_.admission || !try_again(response.status())) {
      if (!opening_.admission) session_->give_up();
      co_return response.status();
    }
    co_await backoff.wait();
    if (environment_.stopping) co_return response.status();
    request.ParseFromString(kept);
  }
}

void RunLoop::after_commit(const service::CommitResponse& response,
                           const std::optional<api::Session>& session_doc) {
  if (session_doc) session_->committed(response, *session_doc);
  if (new_view_) session_->set_view(std::move(*std::exchange(new_view_, std::nullopt)));
  if (finished_turn_) {
    session_->add_turn(std::move(*finished_turn_));
    finished_turn_.reset();
  }
  stored_state_ = doc_.state();
  stored_reason_ = doc_.wait_reason();
  shown_ = doc_;

  std::vector<TapeRecord> records;
  records.reserve(pending_.size());
  for (auto& pending : std::exchange(pending_, {})) {
    TapeRecord record;
    record.seq = ++committed_seq_;
    record.wall_time_ns = pending.wall_ns;
    record.type = std::string(event_type(*pending.event));
    record.event = std::move(pending.event);
    if (record.event->has_approval_decided()) {
      const auto& decided = record.event->approval_decided();
      const auto found = approvals_.find(decided.approval_id());
      if (found != approvals_.end()) environment_.remember(found->second);
      const auto waiters = deciders_.find(decided.approval_id());
      if (waiters != deciders_.end()) {
        // Without a decider it was closed by a newer message, whatever somebody was about to say.
        const Status told =
            decided.decided_by().empty()
                ? Status(Code::kFailedPrecondition,
                         "the approval " + decided.approval_id() + " is no longer asked for")
                : Status();
        for (auto& slot : std::exchange(waiters->second, {})) {
          environment_.world.executor.post([slot, told] { slot.set(told); });
        }
      }
    }
    records.push_back(std::move(record));
  }
  cancel_durable_ = state_.cancel.has_value();
  if (cancel_durable_ || state_.terminal()) answer_cancellers(Status());
  hub_->publish(std::move(records));
  hub_->set_state(doc_.state(), doc_.wait_reason());

  opening_.admission = false;
  opening_.guard.release();
  if (auto slot = std::exchange(opening_.committed, std::nullopt)) {
    environment_.world.executor.post([slot = *slot, response = Result<service::CommitResponse>(
                                                        response)] { slot.set(response); });
  }
}

}  // namespace palyra::gateway
