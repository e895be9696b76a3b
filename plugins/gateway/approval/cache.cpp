#include "plugins/gateway/approval/cache.h"

#include <utility>

namespace palyra::gateway::approval {

void ApprovalCache::add(CachedApproval approval) {
  if (approval.rule_digest.empty() || approval.session_id.empty()) return;
  approvals_.push_back(std::move(approval));
}

const CachedApproval* ApprovalCache::find(const std::string& session_id,
                                          const std::string& principal,
                                          const std::string& rule_digest, int64_t wall_ms) const {
  if (rule_digest.empty()) return nullptr;
  for (const CachedApproval& approval : approvals_) {
    if (approval.rule_digest == rule_digest && approval.session_id == session_id &&
        approval.principal == principal &&
        (approval.until_ms == 0 || wall_ms < approval.until_ms)) {
      return &approval;
    }
  }
  return nullptr;
}

void ApprovalCache::drop_session(const std::string& session_id) {
  std::erase_if(approvals_, [&](const auto& a) { return a.session_id == session_id; });
}

size_t ApprovalCache::keep_if(const std::function<bool(const CachedApproval&)>& in_force) {
  return std::erase_if(approvals_, [&](const auto& a) { return !in_force(a); });
}

size_t ApprovalCache::drop_expired(int64_t wall_ms) {
  return std::erase_if(approvals_,
                       [&](const auto& a) { return a.until_ms != 0 && wall_ms >= a.until_ms; });
}

}  // namespace palyra::gateway::approval
