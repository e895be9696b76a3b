#include "plugins/gateway/retention/plan.h"

namespace palyra::gateway::retention {

Verdict judge(const Rules& rules, int64_t now_ms, uint64_t used_bytes, const Candidate& session) {
  const bool old = rules.ttl_days > 0 && now_ms - session.updated_ms > rules.ttl_days * kDayMs;
  const bool too_much = rules.max_bytes > 0 && used_bytes > rules.max_bytes;
  if (!old && !too_much) return Verdict::kStop;
  return session.busy ? Verdict::kSkip : Verdict::kArchive;
}

}  // namespace palyra::gateway::retention
