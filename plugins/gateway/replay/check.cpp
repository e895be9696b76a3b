#include "plugins/gateway/replay/check.h"

#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/replay/words.h"
#include "plugins/gateway/run/evolve.h"
#include "plugins/gateway/run/recover.h"

#include <utility>

namespace palyra::gateway::replay {
namespace {

using Event = tape::RunEvent;

constexpr int kShownDivergences = 16;
constexpr size_t kWordsBytes = 512;  // of one that is described

// Whether decide() or the effects that the shell runs inline write such records; all others come
// from outside.
bool is_decided(const Event& event) {
  switch (event.event_case()) {
    case Event::kRunStarted:
    case Event::kContextGathered:
    case Event::kPolicyEvaluated:
    case Event::kAnswerRejected:
    case Event::kRunCompleted:
    case Event::kRunFailed:
    case Event::kRunCancelled:
      return true;
    default:
      return start_of(event) != nullptr;
  }
}

bool is_inline(run::EffectKind kind) {
  return kind == run::EffectKind::kContext || kind == run::EffectKind::kPolicy;
}

}  // namespace

Checker::Checker(run::SchemaCheck schema_check) : schema_check_(std::move(schema_check)) {}

void Checker::diverge(uint64_t seq, std::string wanted, std::string recorded,
                      std::vector<std::string> fields) {
  report_.set_divergence_count(report_.divergence_count() + 1);
  expected_.clear();
  settling_ = false;
  if (report_.divergences_size() >= kShownDivergences) return;
  api::Divergence& divergence = *report_.add_divergences();
  divergence.set_seq(seq);
  divergence.set_wanted(std::string(utf8::prefix(wanted, kWordsBytes)));
  divergence.set_recorded(std::string(utf8::prefix(recorded, kWordsBytes)));
  for (auto& field : fields) divergence.add_fields(std::move(field));
}

void Checker::load(const run::Decision& decision) {
  if (decision.begin) {
    Expected begin;
    begin.event.mutable_run_started();
    expected_.push_back(std::move(begin));
  }
  for (const Event& event : decision.append) {
    Expected appended;
    appended.event = event;
    expected_.push_back(std::move(appended));
  }
  std::vector<Expected> results;
  for (const run::Wanted& wanted : decision.start) {
    Expected start;
    start.kind = Expected::Kind::kStart;
    start.wanted = wanted;
    if (is_inline(wanted.kind)) {
      results.push_back(start);
      results.back().kind = Expected::Kind::kResult;
    }
    expected_.push_back(std::move(start));
  }
  for (Expected& result : results) expected_.push_back(std::move(result));
}

// A daemon that takes a run over says first what was cut off.
void Checker::expect_recovery(const Event& resumed) {
  std::vector<Event> events = run::recover_events(state_, resumed.run_resumed().fence(), "");
  for (size_t i = 1; i < events.size(); ++i) {
    Expected next;
    next.event = std::move(events[i]);
    expected_.push_back(std::move(next));
  }
  settling_ = true;
}

// What should be there, with the world's part taken from what is there.
Event Checker::build(const Expected& expected, const Event& recorded) const {
  Event event = expected.event;
  if (expected.kind == Expected::Kind::kStart) {
    run::Stamp stamp;
    stamp.approval_id = recorded.approval_requested().approval_id();
    event = run::started_event(state_, expected.wanted, stamp);
  }
  if (event.event_case() != recorded.event_case()) return event;
  switch (event.event_case()) {
    case Event::kRunStarted: {
      tape::RunStarted& started = *event.mutable_run_started();
      started = recorded.run_started();
      if (started.loop_version() == 0) started.set_loop_version(run::kLoopVersion);
      break;
    }
    case Event::kApprovalRequested: {
      tape::ApprovalRequested& asked = *event.mutable_approval_requested();
      asked.set_expires_at_ms(recorded.approval_requested().expires_at_ms());
      const run::Turn* turn = state_.turn();
      if (turn != nullptr && asked.call_index() < turn->calls.size()) {
        asked.set_rule_digest(turn->calls[asked.call_index()].asked.rule_digest());
      }
      break;
    }
    case Event::kTimerStarted:
      event.mutable_timer_started()->set_due_ms(recorded.timer_started().due_ms());
      break;
    case Event::kModelTurnInterrupted:
      event.mutable_model_turn_interrupted()->set_partial_text(
          recorded.model_turn_interrupted().partial_text());
      break;
    default:
      break;
  }
  return event;
}

// A record that comes from outside.
void Checker::check_outside(uint64_t seq, const Event& event) {
  if (event.has_run_resumed()) {
    if (run::run_state(state_) != api::RUN_STATE_RUNNING) {
      return diverge(seq, "nothing: the run is not RUNNING", describe(event), {});
    }
    return expect_recovery(event);
  }
  const uint64_t ordinal = ordinal_ended_by(event);
  if (ordinal != 0 && state_.in_flight.count(ordinal) == 0) {
    diverge(seq, "nothing: effect #" + std::to_string(ordinal) + " is not in flight",
            describe(event), {});
  }
}

void Checker::compare(uint64_t seq, const Event& event) {
  const bool decided = is_decided(event);
  if (expected_.empty() && (decided || settling_)) {
    const run::Decision decision = run::decide(state_, schema_check_);
    settling_ = !decision.idle();
    load(decision);
  }
  if (expected_.empty()) {
    if (!decided) return check_outside(seq, event);
    report_.set_compared(report_.compared() + 1);
    return diverge(seq, "nothing", describe(event), {});
  }
  report_.set_compared(report_.compared() + 1);
  settling_ = true;
  const Expected expected = std::move(expected_.front());
  expected_.pop_front();
  if (expected.kind == Expected::Kind::kResult) return compare_result(seq, expected.wanted, event);
  const Event wanted = build(expected, event);
  if (wanted.event_case() != event.event_case()) {
    return diverge(seq, describe(wanted), describe(event), {});
  }
  std::vector<std::string> fields = differing_fields(wanted, event);
  if (!fields.empty()) diverge(seq, describe(wanted), describe(event), std::move(fields));
}

// What an inline effect answers comes from the world; that it answers does not.
void Checker::compare_result(uint64_t seq, const run::Wanted& wanted, const Event& event) {
  Event result;
  if (wanted.kind == run::EffectKind::kContext) {
    tape::ContextGathered& gathered = *result.mutable_context_gathered();
    gathered = event.context_gathered();
    gathered.set_ordinal(wanted.ordinal);
    gathered.set_turn(wanted.turn);
  } else {
    tape::PolicyEvaluated& evaluated = *result.mutable_policy_evaluated();
    evaluated = event.policy_evaluated();
    evaluated.set_ordinal(wanted.ordinal);
    evaluated.set_turn(wanted.turn);
    evaluated.set_call_index(wanted.call_index);
    evaluated.set_round(wanted.round);
  }
  if (event.has_run_failed() && wanted.kind == run::EffectKind::kContext) {
    // What the model should see could not be had: that ends the run.
    result.Clear();
    *result.mutable_run_failed()->mutable_failure() = event.run_failed().failure();
    *result.mutable_run_failed()->mutable_usage() = state_.usage;
    expected_.clear();
  }
  if (result.event_case() != event.event_case()) {
    return diverge(seq, describe(result), describe(event), {});
  }
  std::vector<std::string> fields = differing_fields(result, event);
  if (!fields.empty()) diverge(seq, describe(result), describe(event), std::move(fields));
}

void Checker::add(uint64_t seq, int64_t wall_ns, const Event& event) {
  report_.set_records(report_.records() + 1);
  const bool could_follow = state_.corrupt.empty();
  const uint64_t before = report_.divergence_count();
  if (could_follow && !erased_) compare(seq, event);
  run::evolve(state_, event, wall_ns, seq);
  if (event.has_run_created()) report_.set_run_id(event.run_created().run_id());
  if (event.has_run_started()) report_.set_loop_version(event.run_started().loop_version());
  if (could_follow && !erased_ && !state_.corrupt.empty() && report_.divergence_count() == before) {
    diverge(seq, "a record that this version can follow: " + state_.corrupt, describe(event), {});
  }
}

void Checker::add_erased(uint64_t) {
  report_.set_records(report_.records() + 1);
  erased_ = true;
}

api::ReplayReport Checker::finish(bool over) {
  const uint64_t end = report_.records() + 1;
  if (!erased_ && state_.corrupt.empty() && report_.records() > 0 &&
      report_.divergence_count() == 0) {
    if (expected_.empty()) load(run::decide(state_, schema_check_));
    // A queued run begins when its session is free.
    const bool queued = state_.phase == run::Phase::kQueued;
    if (!expected_.empty() && !queued) {
      const Expected& missing = expected_.front();
      Event nothing;
      std::string wanted = missing.kind == Expected::Kind::kResult
                               ? "the result of effect #" + std::to_string(missing.wanted.ordinal)
                               : describe(build(missing, nothing));
      diverge(end, std::move(wanted), "the end of the tape", {});
    }
  }
  const bool cut = over && !erased_ && state_.corrupt.empty() && !state_.terminal();
  if (cut && report_.divergence_count() == 0) {
    diverge(end, "the end of the run, which is over", "the end of the tape", {});
  }
  report_.set_replayed_by(run::kLoopVersion);
  report_.set_state(run::run_state(state_));
  if (erased_) {
    report_.set_verdict(api::REPLAY_VERDICT_ERASED);
  } else if (!cut && report_.loop_version() != 0 && report_.loop_version() != run::kLoopVersion) {
    report_.set_verdict(api::REPLAY_VERDICT_OTHER_VERSION);
  } else {
    report_.set_verdict(report_.divergence_count() == 0 ? api::REPLAY_VERDICT_SAME
                                                        : api::REPLAY_VERDICT_DIVERGED);
  }
  return report_;
}

api::ReplayReport check(const std::vector<Record>& records, const run::SchemaCheck& schema_check) {
  Checker checker(schema_check);
  for (const Record& record : records) checker.add(record.seq, record.wall_ns, record.event);
  return checker.finish();
}

std::string to_line(const api::Divergence& divergence) {
  std::string line = "record " + std::to_string(divergence.seq()) + ": wanted " +
                     divergence.wanted() + ", recorded " + divergence.recorded();
  for (int i = 0; i < divergence.fields_size(); ++i) {
    line += i == 0 ? " with another " : ", ";
    line += divergence.fields(i);
  }
  return line;
}

}  // namespace palyra::gateway::replay
