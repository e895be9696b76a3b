// What became of conversations: their tapes, and what the daemon says of them.
#include "palyra/gateway/v1/sessions.grpc.pb.h"
#include "tests/chaos/inspect.h"

#include <algorithm>
#include <utility>

namespace palyra::chaos {

Conversation Inspector::conversation(const Access& access, const std::string& session_id) {
  std::vector<tape::SessionEvent> events;
  for (const auto& entry : read(access, "", session_id)) {
    if (!events.emplace_back().ParseFromString(entry.payload())) {
      ledger_.problem("session " + session_id + " record " + std::to_string(entry.seq()) +
                      " cannot be read");
    }
  }
  return follow(session_id, events);
}

// What was acknowledged since the last look; the load goes on.
void Inspector::check_history(const Access& access) {
  const History promised = ledger_.history();
  for (const auto& [label, branch] : promised.branches) {
    if (!branches_seen_.insert(label).second) continue;
    const Conversation there = conversation(access, branch.session);
    if (there.from != branch.turn) {
      ledger_.problem("branch " + label + " of session " + branch.source + " at turn " +
                      branch.turn + " was acknowledged and begins at \"" + there.from + "\"");
    }
  }
  for (const auto& [id, moves] : promised.moves) {
    if (std::exchange(moves_seen_[id], moves.size()) == moves.size()) continue;
    const size_t missing = missing_moves(conversation(access, id), moves);
    if (missing > 0) {
      ledger_.problem(std::to_string(missing) + " acknowledged rewinds of session " + id +
                      " are gone");
    }
  }
  for (const auto& [run, id] : promised.compactions) {
    if (!compactions_seen_.insert(run).second) continue;
    const Conversation there = conversation(access, id);
    const auto by_it = [&run = run](const tape::Compacted& one) { return one.run_id() == run; };
    if (std::none_of(there.made.begin(), there.made.end(), by_it)) {
      ledger_.problem("the summary that run " + run + " wrote of session " + id + " is gone");
    }
  }
}

void Inspector::check_conversations(const Access& access, std::set<std::string> sessions) {
  const History promised = ledger_.history();
  for (const auto& [label, branch] : promised.branches) sessions.insert(branch.session);
  std::map<std::string, Conversation> conversations;
  for (const std::string& id : sessions) {
    verify(access, "", id);
    conversations.emplace(id, conversation(access, id));
  }
  for (const auto& sentence : compare(conversations, tapes_, promised, &history_)) {
    ledger_.problem(sentence);
  }
  const TurnTree tree = tree_of(conversations);
  for (const auto& [id, one] : conversations) check_session(access, one, tree);
  for (const auto& [id, tape] : tapes_) check_summaries(access, tape);
}

// The session's document and the list of its turns say what its tape says.
void Inspector::check_session(const Access& access, const Conversation& conversation,
                              const TurnTree& tree) {
  const std::string& id = conversation.session_id;
  // Its own, and those that led to where it was branched.
  const size_t turns = conversation.parents.size() + path(tree, conversation.from).size();
  {
    grpc::ClientContext context;
    access.authenticate(context, patience_);
    api::GetSessionRequest request;
    request.set_session_id(id);
    api::Session session;
    const auto status =
        api::GatewayService::NewStub(access.channel)->GetSession(&context, request, &session);
    if (!status.ok()) {
      ledger_.problem("session " + id + ": " + status.error_message());
    } else if (!session.active_run().empty() || session.queued() != 0 ||
               session.head_turn() != conversation.head || session.turns() != turns) {
      ledger_.problem("session " + id + " is not at rest: " + session.ShortDebugString() +
                      "; by the tapes it has " + std::to_string(turns) +
                      " turns, and its head is " + conversation.head);
    }
  }
  const std::vector<std::string> wanted = path(tree, conversation.head);
  size_t at = 0;
  bool summed_up = false;
  api::ListTurnsRequest request;
  request.set_session_id(id);
  request.set_page_size(500);
  do {
    grpc::ClientContext context;
    access.authenticate(context, patience_);
    api::ListTurnsResponse page;
    const auto status =
        api::SessionService::NewStub(access.channel)->ListTurns(&context, request, &page);
    if (!status.ok()) return ledger_.problem("turns of " + id + ": " + status.error_message());
    for (const auto& turn : page.turns()) {
      for (const auto& compacted : conversation.in_force) {
        summed_up = summed_up || compacted.up_to().turn_id() == turn.turn_id();
      }
      if (at >= wanted.size() || turn.turn_id() != wanted[at] || turn.compacted() != summed_up) {
        return ledger_.problem(
            "session " + id + " lists " + turn.turn_id() + " as turn " + std::to_string(at + 1) +
            " from its head" + (turn.compacted() ? ", summed up" : "") + "; on the tapes it is " +
            (at < wanted.size() ? wanted[at] : "none") + (summed_up ? ", summed up" : ""));
      }
      ++at;
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  if (at != wanted.size()) {
    ledger_.problem("session " + id + " lists " + std::to_string(at) + " turns of " +
                    std::to_string(wanted.size()));
  }
}

// The summaries that a run wrote can be read.
void Inspector::check_summaries(const Access& access, const Tape& tape) {
  const auto finished = [](const Record& record) { return record.event.has_compaction_finished(); };
  const auto wanted = std::count_if(tape.records.begin(), tape.records.end(), finished);
  if (wanted == 0) return;
  grpc::ClientContext context;
  access.authenticate(context, patience_);
  api::ExplainRunRequest request;
  request.set_run_id(tape.run_id);
  request.set_full(true);
  api::ExplainRunResponse explained;
  const auto status =
      api::SessionService::NewStub(access.channel)->ExplainRun(&context, request, &explained);
  const auto readable =
      std::count_if(explained.compactions().begin(), explained.compactions().end(),
                    [](const auto& one) { return one.has_finished() && !one.summary().empty(); });
  if (!status.ok() || readable != wanted) {
    ledger_.problem("run " + tape.run_id + " has written " + std::to_string(wanted) +
                    " summaries, of which " + std::to_string(readable) +
                    " can be read: " + status.error_message());
  }
}

}  // namespace palyra::chaos
