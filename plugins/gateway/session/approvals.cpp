// Approvals as clients see and decide them.
#include "plugins/gateway/session/gateway_impl.h"
#include "plugins/gateway/session/validate.h"

#include <utility>

namespace palyra::gateway {

Task<Result<api::ListApprovalsResponse>> GatewayImpl::list_approvals(
    Caller caller, api::ListApprovalsRequest request) {
  uint32_t size = request.page_size();
  std::string cursor;
  Status status = check_page_size(size);
  if (status.ok()) status = parse_page_token(request.page_token(), cursor);
  if (!status.ok()) co_return status;
  const std::string owner = owner_key(caller.principal);
  const bool all = caller.may("admin");
  service::QueryRequest query;
  query.set_collection(kApprovals);
  query.set_descending(true);
  query.set_limit(size);
  query.set_cursor(cursor);
  if (all) {
    if (!request.include_decided()) query.set_index("pending");
  } else {
    query.set_index(request.include_decided() ? "owner" : "owner_pending");
    query.set_from(owner);
    query.set_to(owner + '\0');
  }
  auto page = co_await environment_.world.journal.query(std::move(query));
  if (!page.ok()) co_return page.status();
  api::ListApprovalsResponse out;
  for (const auto& document : page->documents()) {
    api::Approval approval;
    if (approval.ParseFromString(document.value()) && owns(caller, approval.principal())) {
      *out.add_approvals() = std::move(approval);
    }
  }
  if (!page->next_cursor().empty()) out.set_next_page_token(page_token(page->next_cursor()));
  co_return out;
}

// Those of the session that were given for more than one action and not ended.
Task<Result<std::vector<api::Approval>>> GatewayImpl::lasting_approvals(std::string session_id) {
  std::vector<api::Approval> out;
  std::string cursor;
  do {
    service::QueryRequest query;
    query.set_collection(kApprovals);
    query.set_index("lasting");
    query.set_from(session_id);
    query.set_to(session_id + '\0');
    query.set_limit(500);
    query.set_cursor(cursor);
    auto page = co_await environment_.world.journal.query(std::move(query));
    if (!page.ok()) co_return page.status();
    for (const auto& document : page->documents()) {
      api::Approval approval;
      if (approval.ParseFromString(document.value())) out.push_back(std::move(approval));
    }
    cursor = page->next_cursor();
  } while (!cursor.empty());
  co_return out;
}

// A session that comes into memory: what was approved for it holds on, if the very rule does.
Task<Status> GatewayImpl::load_approvals(std::string session_id) {
  auto approvals = co_await lasting_approvals(session_id);
  if (!approvals.ok()) co_return approvals.status();
  environment_.approvals.drop_session(session_id);
  for (const auto& approval : *approvals) environment_.remember(approval);
  co_return Status();
}

// Adds to the commit that they ended now.
Task<Status> GatewayImpl::end_approvals(std::string session_id, service::CommitRequest& commit) {
  auto approvals = co_await lasting_approvals(session_id);
  if (!approvals.ok()) co_return approvals.status();
  for (auto& approval : *approvals) {
    approval.mutable_decision()->set_until_ms(now_ms());
    put_approval(commit, approval, environment_.world.clock.wall_now());
  }
  co_return Status();
}

Task<Result<api::Approval>> GatewayImpl::decide_approval(Caller caller,
                                                         api::ApprovalDecision request) {
  const std::string& id = request.approval_id();
  Status status = check_ulid("approval_id", id);
  if (status.ok()) status = check_text("reason", request.reason(), 0, 500);
  if (!status.ok()) co_return status;
  if (!caller.may("approvals.decide") && !caller.may("admin")) {
    co_return Status(Code::kPermissionDenied,
                     "deciding needs the scope approvals.decide, which this credential lacks");
  }
  if (request.verdict() != tape::APPROVAL_VERDICT_ALLOW &&
      request.verdict() != tape::APPROVAL_VERDICT_DENY) {
    co_return Status(Code::kInvalidArgument, "verdict must be allow or deny");
  }
  const bool boxed = request.scope() == tape::APPROVAL_SCOPE_TIMEBOXED;
  if (boxed && (request.seconds() < 1 || request.seconds() > 86'400)) {
    co_return Status(Code::kInvalidArgument, "seconds must be 1 to 86400 for a timeboxed approval");
  }
  auto stored = co_await gateway::load<api::Approval>(environment_.world.journal, kApprovals, id,
                                                      "approval " + id);
  if (!stored.ok()) co_return stored.status();
  if (!owns(caller, stored->principal())) {
    co_return Status(Code::kPermissionDenied, "approval " + id + " is of another principal's run");
  }
  if (caller.principal.rfind("channel:", 0) == 0 && caller.principal == stored->principal()) {
    co_return Status(Code::kPermissionDenied,
                     "who asks on a channel cannot approve it; the operator decides");
  }
  if (stored->has_decision()) {
    const std::string& by = stored->decision().decided_by();
    co_return Status(Code::kFailedPrecondition,
                     "approval " + id + " was decided already" +
                         (by.empty() ? ": " + stored->decision().reason() : " by " + by));
  }
  const auto live = runs_.find(stored->run_id());
  if (live == runs_.end()) {
    co_return Status(Code::kFailedPrecondition,
                     "the run " + stored->run_id() + " that asked is not active here");
  }
  tape::ApprovalDecided decided;
  decided.set_approval_id(id);
  decided.set_verdict(request.verdict());
  decided.set_scope(request.scope() == tape::APPROVAL_SCOPE_UNSPECIFIED ? tape::APPROVAL_SCOPE_ONCE
                                                                        : request.scope());
  if (boxed) decided.set_until_ms(now_ms() + int64_t{request.seconds()} * 1000);
  decided.set_decided_by(caller.principal);
  decided.set_surface(caller.surface);
  decided.set_credential_id(caller.credential_id);
  decided.set_reason(request.reason());
  const std::shared_ptr<RunLoop> loop = live->second;
  co_return co_await loop->decide(std::move(decided));
}

}  // namespace palyra::gateway
