// Approvals that were given for more than one action: by rule, until the session is reset, the time
// is over or the rule changes. A value; the session keeps it and rebuilds it from its approvals.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace palyra::gateway::approval {

struct CachedApproval {
  std::string approval_id;
  std::string session_id;
  std::string principal;    // whose runs it serves
  std::string tool;         // that it was given for
  std::string rule;         // for people
  std::string rule_digest;  // 32 bytes: what it matches
  int64_t until_ms = 0;     // wall time; 0 = as long as the session
};

class ApprovalCache {
 public:
  // Without a rule digest there is nothing to match: ignored.
  void add(CachedApproval approval);
  // The approval that turns an ask of this very rule into allow; null if none. The name of the rule
  // is not looked at.
  const CachedApproval* find(const std::string& session_id, const std::string& principal,
                             const std::string& rule_digest, int64_t wall_ms) const;
  void drop_session(const std::string& session_id);
  // After a reload of the policy, with policy::in_force: what rests on a rule that changed ends,
  // and does not come back when the rule does. Says how many.
  size_t keep_if(const std::function<bool(const CachedApproval&)>& in_force);
  size_t drop_expired(int64_t wall_ms);
  size_t size() const { return approvals_.size(); }

 private:
  std::vector<CachedApproval> approvals_;
};

}  // namespace palyra::gateway::approval
