#include "plugins/gateway/run_loop/policy_step.h"

#include "plugins/gateway/replay/recording.h"

namespace palyra::gateway {

palyra::tape::v1::PolicyEvaluated evaluate_policy(Environment& environment, const run::State& state,
                                                  const run::Wanted& wanted,
                                                  const std::string& channel, int64_t wall_ms) {
  namespace tape = palyra::tape::v1;
  tape::PolicyEvaluated out;
  out.set_ordinal(wanted.ordinal);
  out.set_turn(wanted.turn);
  out.set_call_index(wanted.call_index);
  out.set_round(wanted.round);
  out.set_verdict(tape::VERDICT_DENY);
  out.set_policy_digest(environment.policy_digest());
  out.set_effect_class(palyra::common::v1::EFFECT_CLASS_OPAQUE);
  out.set_provenance(palyra::common::v1::PROVENANCE_UNTRUSTED);

  const run::Turn* turn = state.turn();
  if (turn == nullptr || turn->number != wanted.turn || wanted.call_index >= turn->calls.size()) {
    out.set_rule("default");
    out.set_explanation("there is no such call");
    return out;
  }
  const palyra::common::v1::ToolCall& call = turn->calls[wanted.call_index].call;
  if (replay::answers_recorded(state.created)) {
    out.set_verdict(tape::VERDICT_ALLOW);
    out.set_rule(replay::kReplayRule);
    out.set_explanation("answered from the recording; nothing is executed");
    out.set_effect_class(palyra::common::v1::EFFECT_CLASS_NONE);
    out.set_parallel_safe(true);
    return out;
  }
  const auto catalogue = environment.world.tools.catalogue();
  const auto found = catalogue->tools.find(call.name());
  if (found == catalogue->tools.end()) {
    out.set_rule("catalogue");
    out.set_explanation("there is no tool \"" + call.name() + "\"");
    return out;
  }
  const palyra::service::v1::ToolInfo& info = found->second.info;
  if (info.effect() != palyra::common::v1::EFFECT_CLASS_UNSPECIFIED)
    out.set_effect_class(info.effect());
  if (info.provenance() != palyra::common::v1::PROVENANCE_UNSPECIFIED) {
    out.set_provenance(info.provenance());
  }
  out.set_parallel_safe(info.parallel_safe());
  out.set_timeout_ms(info.timeout_ms() > 0 ? info.timeout_ms() : 60'000);

  const std::string misfit = environment.check_arguments(found->second, call.arguments_json());
  if (!misfit.empty()) {
    out.set_rule("schema");
    out.set_explanation("the arguments of " + call.name() + " do not fit its schema: " + misfit);
    return out;
  }

  const auto& created = state.created;
  policy::PolicyRequest request;
  request.principal = created.principal();
  request.agent = created.agent().agent_id();
  request.channel = channel;
  request.session = created.session_id();
  request.tool = call.name();
  request.access = info.access();
  request.arguments_json = call.arguments_json();
  request.agent_tools.assign(created.agent().tools().begin(), created.agent().tools().end());
  const policy::Judgement judgement = policy::judge(environment.rules(), request);
  out.set_verdict(judgement.verdict == tape::VERDICT_UNSPECIFIED ? tape::VERDICT_DENY
                                                                 : judgement.verdict);
  out.set_rule(judgement.rule);
  out.set_rule_digest(judgement.rule_digest);
  out.set_explanation(judgement.explanation);
  if (judgement.verdict == tape::VERDICT_ASK) {
    const approval::CachedApproval* cached = environment.approvals.find(
        created.session_id(), created.principal(), judgement.rule_digest, wall_ms);
    if (cached != nullptr) {
      out.set_verdict(tape::VERDICT_ALLOW);
      out.set_approval_id(cached->approval_id);
    }
  }
  return out;
}

}  // namespace palyra::gateway
