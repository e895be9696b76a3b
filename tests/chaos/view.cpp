#include "tests/chaos/view.h"

#include <utility>

namespace palyra::chaos {
namespace {

const std::string kNothing;

std::string place_of(uint32_t turn, uint32_t attempt) {
  return "turn " + std::to_string(turn) + " attempt " + std::to_string(attempt);
}

}  // namespace

void RunView::problem(std::string sentence) {
  problems.push_back("run " + run_id + ": " + std::move(sentence));
}

const std::string& RunView::text() const {
  const auto last = texts.find(turn);
  return last == texts.end() ? kNothing : last->second.text;
}

void RunView::see(const api::RunStreamEvent& event) {
  run_id = event.run_id();
  session_id = event.session_id();
  if (event.seq() != 0) {
    if (event.seq() != seq + 1) {
      problem("sequence " + std::to_string(event.seq()) + " after " + std::to_string(seq));
    }
    if (terminal()) problem("sequence " + std::to_string(event.seq()) + " after the end");
    seq = event.seq();
    durable.push_back(event.SerializeAsString());
  }
  if (event.has_tape() && event.tape().type() == "compaction_finished") ++compactions;
  switch (event.event_case()) {
    case api::RunStreamEvent::kStatus:
      status = event.status();
      if (status.state() == api::RUN_STATE_COMPLETED && !quiet && text() != status.text()) {
        problem("the text shown of turn " + std::to_string(turn) + " is \"" + text() +
                "\", the answer is \"" + status.text() + "\"");
      }
      break;
    case api::RunStreamEvent::kTurnRestarted: {
      const auto& restarted = event.turn_restarted();
      if (restarted.turn() < turn) problem("turn " + std::to_string(restarted.turn()) + " again");
      ++restarts;
      turn = restarted.turn();
      texts[turn] = {restarted.attempt(), {}};
      reasonings[turn] = {restarted.attempt(), {}};
      break;
    }
    case api::RunStreamEvent::kModelDelta:
      see_delta(event.model_delta(), texts, "text");
      break;
    case api::RunStreamEvent::kReasoningDelta:
      see_delta(event.reasoning_delta(), reasonings, "reasoning");
      break;
    case api::RunStreamEvent::kUsage: {
      const auto shown = texts.find(event.usage().turn());
      const size_t size = shown == texts.end() ? 0 : shown->second.text.size();
      if (size != event.usage().text_bytes()) {
        problem("turn " + std::to_string(event.usage().turn()) + " has " +
                std::to_string(event.usage().text_bytes()) + " bytes of text, shown were " +
                std::to_string(size));
      }
      turn = event.usage().turn();
      break;
    }
    case api::RunStreamEvent::kApprovalRequest:
      approvals.push_back(event.approval_request().approval_id());
      break;
    default:
      break;
  }
}

void RunView::see_delta(const api::TextDelta& delta, std::map<uint32_t, Text>& into,
                        const char* what) {
  if (delta.turn() < turn) problem(std::string(what) + " of an earlier turn");
  turn = delta.turn();
  Text& shown = into[turn];
  if (shown.attempt != delta.attempt() && (shown.attempt != 0 || delta.attempt() > 1)) {
    problem(std::string(what) + " of " + place_of(turn, delta.attempt()) + " after " +
            place_of(turn, shown.attempt) + " without turn_restarted");
  }
  shown.attempt = delta.attempt();
  if (delta.offset() != shown.text.size()) {
    problem(std::string(what) + " of " + place_of(turn, delta.attempt()) + " at " +
            std::to_string(delta.offset()) + " after " + std::to_string(shown.text.size()) +
            " bytes");
  }
  shown.text += delta.text();
  // The other kind belongs to the same attempt.
  texts[turn].attempt = delta.attempt();
  reasonings[turn].attempt = delta.attempt();
}

api::RunAttach RunView::place() const {
  api::RunAttach attach;
  attach.set_run_id(run_id);
  attach.set_from_seq(seq + 1);
  const auto shown = texts.find(turn);
  if (turn != 0 && shown != texts.end()) {
    attach.set_turn(turn);
    attach.set_attempt(shown->second.attempt);
    attach.set_offset(shown->second.text.size());
    const auto thought = reasonings.find(turn);
    if (thought != reasonings.end()) attach.set_reasoning_offset(thought->second.text.size());
  }
  return attach;
}

}  // namespace palyra::chaos
