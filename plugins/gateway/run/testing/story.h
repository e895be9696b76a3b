// A run told step by step: what decide() wants is started, and the test says what the world
// answers. Every record goes onto a tape, so that any moment can be folded again.
#pragma once

#include "plugins/gateway/run/decide.h"
#include "plugins/gateway/run/evolve.h"
#include "plugins/gateway/run/recover.h"

#include <cstdint>
#include <string>
#include <vector>

namespace palyra::gateway::run::testing {

struct Record {
  tape::RunEvent event;
  int64_t wall_ns = 0;
};

inline State fold(const std::vector<Record>& tape) {
  State state;
  uint64_t seq = 0;
  for (const Record& record : tape) evolve(state, record.event, record.wall_ns, ++seq);
  return state;
}

class Story {
 public:
  explicit Story(tape::RunLimits limits = {}) {
    tape::RunCreated& created = *created_.mutable_run_created();
    created.set_run_id("01RUN");
    created.set_session_id("01SESSION");
    created.set_principal("user:ada");
    created.set_input_id("01INPUT");
    created.set_input_text("How many files are here?");
    created.set_input_provenance(common::PROVENANCE_PRINCIPAL);
    created.mutable_agent()->set_agent_id("main");
    created.mutable_agent()->set_model("embedded/echo");
    created.mutable_agent()->add_workspace_roots("/srv/work");
    *created.mutable_limits() = limits;
  }
  tape::RunCreated& created() { return *created_.mutable_run_created(); }

  // Accepts and begins the run; its first context is then in flight.
  Story& begin() {
    append(created_);
    return step();
  }

  void append(const tape::RunEvent& event) {
    tape.push_back({event, now_ns});
    evolve(state, event, now_ns, tape.size());
  }
  void append(const std::vector<tape::RunEvent>& events) {
    for (const auto& event : events) append(event);
  }
  Story& after_ms(int64_t ms) {
    now_ns += ms * 1'000'000;
    return *this;
  }

  // Does what decide() says until it has nothing more to say. Returns what it started.
  Story& step() {
    started.clear();
    for (int round = 0; round < 100; ++round) {
      const Decision decision = decide(state, schema_check);
      if (decision.idle()) return *this;
      if (decision.begin) {
        tape::RunEvent event;
        event.mutable_run_started()->set_loop_version(kLoopVersion);
        event.mutable_run_started()->set_fence(1);
        append(event);
      }
      append(decision.append);
      std::vector<tape::RunEvent> events;
      for (const Wanted& wanted : decision.start) {
        events.push_back(started_event(
            state, wanted, {now_ns / 1'000'000, "01APPROVAL" + std::to_string(wanted.ordinal)}));
        started.push_back(wanted);
      }
      append(events);
    }
    return *this;
  }

  // The effect of that kind (and call) that is in flight; fails loudly by ordinal 0 if there is
  // none.
  Effect flying(EffectKind kind, uint32_t call_index = 0) const {
    for (const auto& [ordinal, effect] : state.in_flight) {
      if (effect.kind == kind && effect.call_index == call_index) return effect;
    }
    return {};
  }
  bool flies(EffectKind kind, uint32_t call_index = 0) const {
    return flying(kind, call_index).ordinal != 0;
  }

  Story& context(int64_t tokens = 100) {
    tape::RunEvent event;
    const Effect effect = flying(EffectKind::kContext);
    event.mutable_context_gathered()->set_ordinal(effect.ordinal);
    event.mutable_context_gathered()->set_turn(effect.turn);
    event.mutable_context_gathered()->set_tokens(tokens);
    append(event);
    return step();
  }
  // A context with that many earlier turns of 100 tokens each.
  Story& context_of(int turns, bool compaction_wanted, bool summary = false) {
    tape::RunEvent event;
    const Effect effect = flying(EffectKind::kContext);
    auto& gathered = *event.mutable_context_gathered();
    gathered.set_ordinal(effect.ordinal);
    gathered.set_turn(effect.turn);
    gathered.set_budget_tokens(24'000);
    gathered.set_compaction_wanted(compaction_wanted);
    if (summary) gathered.add_segments()->set_kind(tape::SEGMENT_KIND_SUMMARY);
    for (int i = 0; i < turns; ++i) {
      auto& segment = *gathered.add_segments();
      segment.set_kind(tape::SEGMENT_KIND_HISTORY);
      segment.set_tokens(100);
    }
    gathered.set_tokens(100 + 100 * turns);
    append(event);
    return step();
  }
  Story& compacted(uint32_t turns = 4, bool more = false) {
    tape::RunEvent event;
    const Effect effect = flying(EffectKind::kCompaction);
    auto& finished = *event.mutable_compaction_finished();
    finished.set_ordinal(effect.ordinal);
    finished.set_attempt(effect.attempt);
    finished.set_turns(turns);
    finished.set_more(more);
    finished.set_tokens_before(8'400);
    finished.set_tokens_after(610);
    finished.mutable_usage()->set_input_tokens(400);
    finished.mutable_usage()->set_output_tokens(60);
    append(event);
    return step();
  }
  Story& compaction_fails() {
    tape::RunEvent event;
    const Effect effect = flying(EffectKind::kCompaction);
    auto& failed = *event.mutable_compaction_failed();
    failed.set_ordinal(effect.ordinal);
    failed.set_attempt(effect.attempt);
    failed.mutable_failure()->set_code(14);
    failed.mutable_failure()->set_message("the summariser is away");
    failed.mutable_usage();
    append(event);
    return step();
  }
  struct Proposal {
    std::string tool;
    std::string arguments = "{}";
  };
  tape::RunEvent model_event(const std::string& text, const std::vector<Proposal>& calls) const {
    tape::RunEvent event;
    const Effect effect = flying(EffectKind::kModel);
    auto& finished = *event.mutable_model_turn_finished();
    finished.set_ordinal(effect.ordinal);
    finished.set_turn(effect.turn);
    finished.set_attempt(effect.attempt);
    finished.set_text(text);
    finished.set_finish_reason(calls.empty() ? service::FINISH_REASON_STOP
                                             : service::FINISH_REASON_TOOL_CALLS);
    finished.mutable_usage()->set_input_tokens(50);
    finished.mutable_usage()->set_output_tokens(10);
    for (const Proposal& proposal : calls) {
      auto& call = *finished.add_tool_calls();
      call.set_call_id("call" + std::to_string(finished.tool_calls_size()));
      call.set_name(proposal.tool);
      call.set_arguments_json(proposal.arguments);
    }
    return event;
  }
  Story& model(const std::string& text, const std::vector<Proposal>& calls = {}) {
    append(model_event(text, calls));
    return step();
  }
  Story& model_fails(service::FailureKind kind, bool retryable, int64_t retry_after_ms = 0) {
    tape::RunEvent event;
    const Effect effect = flying(EffectKind::kModel);
    auto& failed = *event.mutable_model_turn_failed();
    failed.set_ordinal(effect.ordinal);
    failed.set_turn(effect.turn);
    failed.set_attempt(effect.attempt);
    failed.set_kind(kind);
    failed.set_retry_after_ms(retry_after_ms);
    failed.mutable_failure()->set_code(14);
    failed.mutable_failure()->set_retryable(retryable);
    failed.mutable_failure()->set_message("embedded: no answer");
    append(event);
    return step();
  }
  Story& timer() {
    tape::RunEvent event;
    event.mutable_timer_fired()->set_ordinal(flying(EffectKind::kTimer).ordinal);
    append(event);
    return step();
  }
  Story& policy(uint32_t call, tape::Verdict verdict,
                common::EffectClass effect_class = common::EFFECT_CLASS_NONE,
                bool parallel_safe = true, const std::string& rule = "r") {
    tape::RunEvent event;
    const Effect effect = flying(EffectKind::kPolicy, call);
    auto& evaluated = *event.mutable_policy_evaluated();
    evaluated.set_ordinal(effect.ordinal);
    evaluated.set_turn(effect.turn);
    evaluated.set_call_index(call);
    evaluated.set_verdict(verdict);
    evaluated.set_rule(rule);
    evaluated.set_rule_digest("digest of " + rule);
    evaluated.set_explanation("Because.");
    evaluated.set_effect_class(effect_class);
    evaluated.set_parallel_safe(parallel_safe);
    evaluated.set_provenance(common::PROVENANCE_WORKSPACE);
    append(event);
    return step();
  }
  Story& approval(uint32_t call, tape::ApprovalVerdict verdict) {
    tape::RunEvent event;
    const Effect effect = flying(EffectKind::kApproval, call);
    auto& decided = *event.mutable_approval_decided();
    decided.set_ordinal(effect.ordinal);
    decided.set_approval_id(effect.approval_id);
    decided.set_verdict(verdict);
    append(event);
    return step();
  }
  tape::RunEvent tool_event(uint32_t call, const std::string& content, bool is_error) const {
    tape::RunEvent event;
    const Effect effect = flying(EffectKind::kTool, call);
    auto& finished = *event.mutable_tool_call_finished();
    finished.set_ordinal(effect.ordinal);
    finished.set_turn(effect.turn);
    finished.set_call_index(call);
    finished.set_attempt(effect.attempt);
    finished.set_content(content);
    finished.set_is_error(is_error);
    return event;
  }
  Story& tool(uint32_t call, const std::string& content, bool is_error = false) {
    append(tool_event(call, content, is_error));
    return step();
  }
  Story& verified_not_happened(uint32_t call) {
    tape::RunEvent event;
    const Effect effect = flying(EffectKind::kTool, call);
    auto& verified = *event.mutable_tool_call_verified();
    verified.set_ordinal(effect.ordinal);
    verified.set_attempt(effect.attempt);
    verified.set_outcome(service::CALL_OUTCOME_NOT_HAPPENED);
    append(event);
    return step();
  }
  Story& cancel() {
    tape::RunEvent event;
    event.mutable_cancel_requested()->set_principal("user:ada");
    append(event);
    return step();
  }
  // The daemon dies, another folds the tape and goes on.
  Story& crash(const std::string& partial = "") {
    state = fold(tape);
    append(recover_events(state, 2, partial));
    return step();
  }

  State state;
  std::vector<Record> tape;
  std::vector<Wanted> started;  // by the last step
  int64_t now_ns = 1'700'000'000'000'000'000;
  SchemaCheck schema_check = [](std::string_view, std::string_view) { return std::string(); };

 private:
  tape::RunEvent created_;
};

}  // namespace palyra::gateway::run::testing
