#include "clients/cli/commands.h"
#include "clients/cli/connection.h"
#include "clients/cli/terminal.h"

#include <cstdio>

namespace palyra::cli {

namespace {

using ApprovalsStub = api::ApprovalsService::Stub;

const char* verdict_word(const api::Approval& approval) {
  if (!approval.has_decision()) return "pending";
  switch (approval.decision().verdict()) {
    case tape::v1::APPROVAL_VERDICT_ALLOW:
      return "allowed";
    case tape::v1::APPROVAL_VERDICT_DENY:
      return "denied";
    default:
      return "expired";
  }
}

int decide(const GlobalOptions& global, const api::ApprovalDecision& decision) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  return call_and_print<ApprovalsStub, api::ApprovalDecision, api::Approval>(
      connection, connection.approvals(), &ApprovalsStub::DecideApproval, decision,
      [](const api::Approval& approval) {
        std::printf("%s %s\n", verdict_word(approval),
                    printable(approval.request().tool()).c_str());
        return static_cast<int>(kExitOk);
      });
}

}  // namespace

int list_approvals(const GlobalOptions& global, bool all, int limit) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::ListApprovalsRequest request;
  request.set_include_decided(all);
  Table table({"APPROVAL", "STATE", "REQUESTED", "TOOL", "ARGUMENTS"});
  return list_and_print<api::Approval, ApprovalsStub, api::ListApprovalsRequest,
                        api::ListApprovalsResponse>(
      connection, connection.approvals(), &ApprovalsStub::ListApprovals, request, limit,
      [](const api::ListApprovalsResponse& response) -> const auto& {
        return response.approvals();
      },
      [&](const api::Approval& approval) {
        table.add({approval.request().approval_id(), verdict_word(approval),
                   local_time(approval.requested_at_ms()), approval.request().tool(),
                   shortened(approval.request().arguments_json(), 60)});
      },
      [&](bool more) {
        if (table.empty()) return (void)std::printf("Nothing waits for an approval.\n");
        table.print();
        if (more) std::fprintf(stderr, "There are more; use --limit.\n");
      });
}

int allow_approval(const GlobalOptions& global, const std::string& approval_id,
                   const std::string& scope, int seconds) {
  api::ApprovalDecision decision;
  decision.set_approval_id(approval_id);
  decision.set_verdict(tape::v1::APPROVAL_VERDICT_ALLOW);
  decision.set_scope(scope == "session"     ? tape::v1::APPROVAL_SCOPE_SESSION
                     : scope == "timeboxed" ? tape::v1::APPROVAL_SCOPE_TIMEBOXED
                                            : tape::v1::APPROVAL_SCOPE_ONCE);
  if (scope == "timeboxed") decision.set_seconds(static_cast<uint32_t>(seconds));
  return decide(global, decision);
}

int deny_approval(const GlobalOptions& global, const std::string& approval_id,
                  const std::string& reason) {
  api::ApprovalDecision decision;
  decision.set_approval_id(approval_id);
  decision.set_verdict(tape::v1::APPROVAL_VERDICT_DENY);
  decision.set_reason(reason);
  return decide(global, decision);
}

}  // namespace palyra::cli
