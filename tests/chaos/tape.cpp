#include "tests/chaos/tape.h"

#include <optional>

namespace palyra::chaos {
namespace {

const tape::EffectStart* start_of(const tape::RunEvent& event) {
  switch (event.event_case()) {
    case tape::RunEvent::kContextStarted:
      return &event.context_started().start();
    case tape::RunEvent::kModelTurnStarted:
      return &event.model_turn_started().start();
    case tape::RunEvent::kPolicyStarted:
      return &event.policy_started().start();
    case tape::RunEvent::kApprovalRequested:
      return &event.approval_requested().start();
    case tape::RunEvent::kToolCallStarted:
      return &event.tool_call_started().start();
    case tape::RunEvent::kTimerStarted:
      return &event.timer_started().start();
    case tape::RunEvent::kCompactionStarted:
      return &event.compaction_started().start();
    default:
      return nullptr;
  }
}

// The ordinal that this record ends; 0 = none.
uint64_t end_of(const tape::RunEvent& event) {
  switch (event.event_case()) {
    case tape::RunEvent::kContextGathered:
      return event.context_gathered().ordinal();
    case tape::RunEvent::kModelTurnInterrupted:
      return event.model_turn_interrupted().ordinal();
    case tape::RunEvent::kModelTurnFinished:
      return event.model_turn_finished().ordinal();
    case tape::RunEvent::kModelTurnFailed:
      return event.model_turn_failed().ordinal();
    case tape::RunEvent::kPolicyEvaluated:
      return event.policy_evaluated().ordinal();
    case tape::RunEvent::kApprovalDecided:
      return event.approval_decided().ordinal();
    case tape::RunEvent::kToolCallFinished:
      return event.tool_call_finished().ordinal();
    case tape::RunEvent::kToolCallUnknown:
      return event.tool_call_unknown().ordinal();
    case tape::RunEvent::kToolCallVerified:
      return event.tool_call_verified().ordinal();
    case tape::RunEvent::kTimerFired:
      return event.timer_fired().ordinal();
    case tape::RunEvent::kEffectInterrupted:
      return event.effect_interrupted().ordinal();
    case tape::RunEvent::kCompactionFinished:
      return event.compaction_finished().ordinal();
    case tape::RunEvent::kCompactionFailed:
      return event.compaction_failed().ordinal();
    default:
      return 0;
  }
}

bool ends_run(const tape::RunEvent& event) {
  return event.has_run_completed() || event.has_run_failed() || event.has_run_cancelled();
}

std::optional<Phase> phase_of(const tape::RunEvent& started) {
  switch (started.event_case()) {
    case tape::RunEvent::kModelTurnStarted:
      return Phase::kModelTurn;
    case tape::RunEvent::kApprovalRequested:
      return Phase::kApproval;
    case tape::RunEvent::kTimerStarted:
      return Phase::kTimer;
    case tape::RunEvent::kCompactionStarted:
      return Phase::kCompaction;
    case tape::RunEvent::kToolCallStarted:
      switch (started.tool_call_started().start().effect_class()) {
        case common::EFFECT_CLASS_NONE:
        case common::EFFECT_CLASS_IDEMPOTENT:
          return Phase::kToolNone;
        case common::EFFECT_CLASS_KEYED:
          return Phase::kToolKeyed;
        case common::EFFECT_CLASS_VERIFIABLE:
          return Phase::kToolVerifiable;
        default:
          return Phase::kToolOpaque;
      }
    default:
      return std::nullopt;
  }
}

// Walks one tape and notes what breaks the rules.
class Examiner {
 public:
  explicit Examiner(const Tape& tape) : tape_(tape) {}

  Evidence run() {
    for (const Record& record : tape_.records) {
      if (record.seq != ++seq_)
        problem(record, "its sequence number is not " + std::to_string(seq_));
      if (evidence_.terminal) problem(record, "it comes after the end");
      if ((seq_ == 1) != record.event.has_run_created()) problem(record, "run_created is first");
      follow(record);
      note(record);
    }
    return std::move(evidence_);
  }

 private:
  void problem(const Record& record, const std::string& what) {
    evidence_.problems.push_back("run " + tape_.run_id + " record " + std::to_string(record.seq) +
                                 " " + record.type + ": " + what);
  }

  void follow(const Record& record) {
    if (const auto* start = start_of(record.event)) {
      Effect& effect = effects_[start->ordinal()];
      if (effect.open) problem(record, "this effect is in flight");
      if (start->attempt() != effect.attempt + 1) {
        problem(record, "attempt " + std::to_string(start->attempt()) + " after " +
                            std::to_string(effect.attempt));
      }
      if (effect.attempt > 0 && effect.key != start->idempotency_key()) {
        problem(record, "the idempotency key changed");
      }
      effect = {true, start->attempt(), start->idempotency_key()};
    }
    if (const uint64_t ordinal = end_of(record.event)) {
      Effect& effect = effects_[ordinal];
      if (!effect.open) problem(record, "it ends what is not in flight");
      effect.open = false;
    }
  }

  void note(const Record& record) {
    const tape::RunEvent& event = record.event;
    if (event.has_policy_started() && event.policy_started().round() <= 1) {
      const auto& proposed = event.policy_started();
      Call& call = evidence_.calls[{proposed.turn(), proposed.call_index()}];
      call.run_id = tape_.run_id;
      call.name = proposed.call().name();
      call.arguments = proposed.call().arguments_json();
    } else if (event.has_tool_call_started()) {
      const auto& started = event.tool_call_started();
      Call& call = evidence_.calls[{started.turn(), started.call_index()}];
      call.key = started.start().idempotency_key();
      call.effect = started.start().effect_class();
      (started.verify() ? call.verifies : call.starts) += 1;
      if (call.finished || call.unknown) problem(record, "the call has ended");
    } else if (event.has_tool_call_finished()) {
      const auto& finished = event.tool_call_finished();
      Call& call = evidence_.calls[{finished.turn(), finished.call_index()}];
      if (call.finished || call.unknown) problem(record, "a second result");
      call.finished = true;
      call.failed = finished.is_error();
      call.content = finished.content();
    } else if (event.has_tool_call_unknown()) {
      const auto& unknown = event.tool_call_unknown();
      Call& call = evidence_.calls[{unknown.turn(), unknown.call_index()}];
      if (call.finished || call.unknown) problem(record, "a second result");
      call.unknown = true;
      call.content = unknown.explanation();
    } else if (event.has_approval_decided()) {
      const auto& decided = event.approval_decided();
      if (!evidence_.approvals.emplace(decided.approval_id(), decided.verdict()).second) {
        problem(record, "a second decision");
      }
    } else if (event.has_cancel_requested()) {
      evidence_.cancelled_asked = true;
    } else if (event.has_run_resumed()) {
      ++evidence_.resumed;
    } else if (ends_run(event)) {
      evidence_.terminal = true;
      if (!event.has_run_completed()) return;
      for (const auto& [ordinal, effect] : effects_) {
        if (effect.open) problem(record, "effect " + std::to_string(ordinal) + " is in flight");
      }
    }
  }

  struct Effect {
    bool open = false;
    uint32_t attempt = 0;
    std::string key;
  };

  const Tape& tape_;
  Evidence evidence_;
  uint64_t seq_ = 0;
  std::map<uint64_t, Effect> effects_;
};

}  // namespace

const char* name_of(Phase phase) {
  switch (phase) {
    case Phase::kAdmission:
      return "admission";
    case Phase::kModelTurn:
      return "model turn";
    case Phase::kToolNone:
      return "tool none";
    case Phase::kToolKeyed:
      return "tool keyed";
    case Phase::kToolOpaque:
      return "tool opaque";
    case Phase::kToolVerifiable:
      return "tool verifiable";
    case Phase::kApproval:
      return "approval waiting";
    case Phase::kTimer:
      return "retry waiting";
    case Phase::kCompaction:
      return "compaction";
    case Phase::kQueued:
      return "queued";
    case Phase::kFinished:
      return "between runs";
    case Phase::kHistory:
      return "history asked for";
    case Phase::kRecovery:
      return "recovery";
  }
  return "?";
}

bool is_between(Phase phase) { return phase >= Phase::kModelTurn && phase <= Phase::kCompaction; }

std::set<Phase> phases_at(const Tape& tape, int64_t wall_ns) {
  std::map<uint64_t, Phase> open;
  bool created = false;
  for (const Record& record : tape.records) {
    if (record.time_ns > wall_ns) break;
    created = true;
    if (const auto* start = start_of(record.event)) {
      if (const auto phase = phase_of(record.event)) open[start->ordinal()] = *phase;
    }
    open.erase(end_of(record.event));
    if (ends_run(record.event)) return {Phase::kFinished};
  }
  std::set<Phase> phases;
  for (const auto& [ordinal, phase] : open) phases.insert(phase);
  if (created && phases.empty()) phases.insert(Phase::kQueued);
  return phases;
}

Evidence examine(const Tape& tape) { return Examiner(tape).run(); }

}  // namespace palyra::chaos
