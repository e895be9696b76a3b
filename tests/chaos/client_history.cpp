// What a client does with its conversation beside talking in it.
#include "tests/chaos/client.h"

#include <utility>

namespace palyra::chaos {

namespace {

bool is_gone(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE ||
         status.error_code() == grpc::StatusCode::CANCELLED;
}

}  // namespace

// Asks until the daemon answers; false if it is of no use, which is a problem.
bool Client::ask(const Input& what, uint64_t& lost, const Question& question) {
  for (;;) {
    const auto access = arena_.access(lost);
    if (!access) return false;
    arena_.moment(Moment::kTidying, what);
    grpc::ClientContext context;
    access->authenticate(context, arena_.patience());
    const grpc::Status status = question(*access, context);
    if (status.ok()) return true;
    if (!is_gone(status)) {
      ledger_.problem(what.label + " of session " + session_id_ + ": " +
                      std::to_string(status.error_code()) + " " + status.error_message());
      return false;
    }
    lost = access->generation;
  }
}

grpc::Status Client::look(const Access& access, api::Session* session) {
  grpc::ClientContext context;
  access.authenticate(context, arena_.patience());
  api::GetSessionRequest request;
  request.set_session_id(session_id_);
  return api::GatewayService::NewStub(access.channel)->GetSession(&context, request, session);
}

// Any turn of the session's own tape or of those it was branched from; empty if there is none.
bool Client::any_turn(const Input& what, uint64_t& lost, std::string* turn_id) {
  api::ListTurnsResponse turns;
  const bool asked = ask(what, lost, [&](const Access& access, grpc::ClientContext& context) {
    api::ListTurnsRequest request;
    request.set_session_id(session_id_);
    request.set_page_size(100);
    request.set_all(true);
    turns.Clear();
    return api::SessionService::NewStub(access.channel)->ListTurns(&context, request, &turns);
  });
  if (asked && turns.turns_size() > 0) {
    *turn_id = turns.turns(static_cast<int>(draw(random_, turns.turns_size()))).turn_id();
  }
  return asked;
}

void Client::tidy(Job::Then then, const std::string& label) {
  uint64_t lost = 0;
  tidy(then, label, lost);
}

void Client::tidy(Job::Then then, const std::string& label, uint64_t& lost) {
  if (session_id_.empty() || then == Job::Then::kNothing) return;
  Input what;
  what.label = label;
  switch (then) {
    case Job::Then::kBranch:
      return branch(what, lost);
    case Job::Then::kRewind:
    case Job::Then::kUndo:
      return rewind(what, then == Job::Then::kUndo, lost);
    case Job::Then::kCompact:
      return compact(std::move(what), lost);
    case Job::Then::kNothing:
      return;
  }
}

void Client::branch(const Input& what, uint64_t& lost) {
  api::BranchSessionRequest request;
  request.set_session_id(session_id_);
  request.set_title(what.label);
  request.set_idempotency_key("key-" + what.label);
  if (chance(random_, 70) && !any_turn(what, lost, request.mutable_turn_id())) return;
  api::Session made;
  // Asked again after a crash, and at times although it was acknowledged.
  for (int times = chance(random_, 20) ? 2 : 1; times > 0; --times) {
    const bool asked = ask(what, lost, [&](const Access& access, grpc::ClientContext& context) {
      return api::SessionService::NewStub(access.channel)->BranchSession(&context, request, &made);
    });
    if (!asked) return;
    if (!request.turn_id().empty() && made.head_turn() != request.turn_id()) {
      ledger_.problem("branch " + what.label + " at turn " + request.turn_id() + " began at " +
                      made.head_turn());
    }
    ledger_.branched(what.label, {session_id_, made.head_turn(), made.session_id()});
  }
  // The next messages go to the one or the other.
  if (chance(random_, 60)) session_id_ = made.session_id();
}

// The head moves; what was not answered is looked up, because going back twice is not going back
// once.
bool Client::move(const Input& what, const api::RewindSessionRequest& request,
                  const std::string& head, uint64_t& lost, api::Session* moved) {
  return ask(what, lost, [&](const Access& access, grpc::ClientContext& context) {
    api::Session now;
    const grpc::Status looked = look(access, &now);
    if (!looked.ok()) return looked;
    *moved = now;
    if (now.head_turn() != head) return looked;
    const auto status =
        api::SessionService::NewStub(access.channel)->RewindSession(&context, request, moved);
    if (status.ok() && moved->head_turn() != head) {
      ledger_.moved(session_id_, moved->head_turn());
    }
    return status;
  });
}

void Client::rewind(const Input& what, bool undo, uint64_t& lost) {
  api::Session before;
  const bool known = ask(what, lost, [&](const Access& access, grpc::ClientContext&) {
    return look(access, &before);
  });
  if (!known || before.head_turn().empty()) return;
  api::RewindSessionRequest request;
  request.set_session_id(session_id_);
  request.set_reason(undo ? "undo" : "rewind");
  if (undo) {
    request.set_back(1);
  } else {
    std::string turn_id;
    if (!any_turn(what, lost, &turn_id) || turn_id.empty()) return;
    request.set_turn_id(turn_id);
  }
  api::Session after;
  if (!move(what, request, before.head_turn(), lost, &after)) return;
  if (!undo && after.head_turn() != request.turn_id()) {
    ledger_.problem("session " + session_id_ + " was rewound to " + request.turn_id() +
                    " and is at " + after.head_turn());
  }
  if (after.head_turn() == before.head_turn() || chance(random_, 60)) return;
  request.clear_reason();
  request.set_redo(true);
  api::Session again;
  if (!move(what, request, after.head_turn(), lost, &again)) return;
  if (again.head_turn() != before.head_turn()) {
    ledger_.problem("session " + session_id_ + " was at " + before.head_turn() +
                    " and is, after a rewind that was taken back, at " + again.head_turn());
  }
}

void Client::compact(Input what, uint64_t& lost) {
  what.compaction = true;
  what.view.quiet = true;
  api::CompactSessionRequest request;
  request.set_session_id(session_id_);
  request.set_model(chance(random_, 50) ? "fast/rules" : "embedded/rules");
  request.set_idempotency_key("key-" + what.label);
  api::CompactSessionResponse made;
  for (int times = chance(random_, 20) ? 2 : 1; times > 0; --times) {
    uint64_t generation = 0;
    const bool asked = ask(what, lost, [&](const Access& access, grpc::ClientContext& context) {
      generation = access.generation;
      return api::SessionService::NewStub(access.channel)->CompactSession(&context, request, &made);
    });
    if (!asked) return;
    ledger_.acknowledged(what.label, made.run_id(), made.session_id(), generation, true);
  }
  what.view.run_id = made.run_id();
  what.view.session_id = made.session_id();
  Job job;
  job.inputs.push_back(std::move(what));
  follow(job, lost);
  Input& summed = job.inputs.front();
  if (summed.view.compactions > 0 && summed.view.terminal()) {
    ledger_.compacted(made.run_id(), made.session_id());
  }
  finish(summed);
}

}  // namespace palyra::chaos
