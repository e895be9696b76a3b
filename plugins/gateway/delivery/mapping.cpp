#include "plugins/gateway/delivery/mapping.h"

#include "plugins/common/utf8/utf8.h"

namespace palyra::gateway {
namespace {

constexpr size_t kToolContentBytes = 16 * 1024;

void fill_status(api::RunStreamEvent& out, api::RunState state) {
  out.mutable_status()->set_state(state);
}

}  // namespace

std::string_view event_type(const tape::RunEvent& event) {
  const auto* field = tape::RunEvent::descriptor()->FindFieldByNumber(event.event_case());
  return field != nullptr ? std::string_view(field->name()) : std::string_view();
}

bool is_terminal(const tape::RunEvent& event) {
  return event.has_run_completed() || event.has_run_failed() || event.has_run_cancelled();
}

api::RunStreamEvent to_stream_event(const std::string& run_id, const std::string& session_id,
                                    const TapeRecord& record) {
  api::RunStreamEvent out;
  out.set_run_id(run_id);
  out.set_session_id(session_id);
  out.set_seq(record.seq);
  out.set_time_ms(record.wall_time_ns / 1'000'000);
  if (record.event) {
    const tape::RunEvent& event = *record.event;
    switch (event.event_case()) {
      case tape::RunEvent::kRunCreated:
        fill_status(out, api::RUN_STATE_QUEUED);
        return out;
      case tape::RunEvent::kRunStarted:
        fill_status(out, api::RUN_STATE_RUNNING);
        return out;
      case tape::RunEvent::kRunCompleted: {
        fill_status(out, api::RUN_STATE_COMPLETED);
        out.mutable_status()->set_text(event.run_completed().text());
        *out.mutable_status()->mutable_usage() = event.run_completed().usage();
        return out;
      }
      case tape::RunEvent::kRunFailed: {
        fill_status(out, api::RUN_STATE_FAILED);
        *out.mutable_status()->mutable_failure() = event.run_failed().failure();
        *out.mutable_status()->mutable_usage() = event.run_failed().usage();
        return out;
      }
      case tape::RunEvent::kRunCancelled: {
        fill_status(out, api::RUN_STATE_CANCELLED);
        *out.mutable_status()->mutable_usage() = event.run_cancelled().usage();
        return out;
      }
      case tape::RunEvent::kContextGathered: {
        const auto& gathered = event.context_gathered();
        auto& plan = *out.mutable_context_plan();
        plan.set_turn(gathered.turn());
        *plan.mutable_segments() = gathered.segments();
        plan.set_tokens(gathered.tokens());
        plan.set_budget_tokens(gathered.budget_tokens());
        return out;
      }
      case tape::RunEvent::kModelTurnFinished: {
        const auto& finished = event.model_turn_finished();
        auto& usage = *out.mutable_usage();
        usage.set_turn(finished.turn());
        *usage.mutable_usage() = finished.usage();
        usage.set_text_bytes(finished.text().size());
        return out;
      }
      case tape::RunEvent::kPolicyStarted: {
        const auto& started = event.policy_started();
        if (started.round() > 1) break;
        auto& proposal = *out.mutable_tool_proposal();
        proposal.set_turn(started.turn());
        proposal.set_call_index(started.call_index());
        *proposal.mutable_call() = started.call();
        return out;
      }
      case tape::RunEvent::kInputAdded:
        *out.mutable_input_added() = event.input_added();
        return out;
      case tape::RunEvent::kApprovalRequested:
        *out.mutable_approval_request() = event.approval_requested();
        return out;
      case tape::RunEvent::kToolCallFinished: {
        const auto& finished = event.tool_call_finished();
        auto& result = *out.mutable_tool_result();
        result.set_turn(finished.turn());
        result.set_call_index(finished.call_index());
        result.set_content(std::string(utf8::prefix(finished.content(), kToolContentBytes)));
        result.set_is_error(finished.is_error());
        if (finished.has_failure()) *result.mutable_failure() = finished.failure();
        result.set_duration_ms(finished.duration_ms());
        return out;
      }
      case tape::RunEvent::kToolCallUnknown: {
        const auto& unknown = event.tool_call_unknown();
        auto& result = *out.mutable_tool_result();
        result.set_turn(unknown.turn());
        result.set_call_index(unknown.call_index());
        result.set_content(unknown.explanation());
        result.set_is_error(true);
        result.set_outcome_unknown(true);
        return out;
      }
      default:
        break;
    }
  }
  auto& entry = *out.mutable_tape();
  entry.set_stream("run/" + run_id);
  entry.set_seq(record.seq);
  entry.set_type(record.type);
  entry.set_time_ns(record.wall_time_ns);
  entry.set_erased(record.event == nullptr);
  return out;
}

}  // namespace palyra::gateway
