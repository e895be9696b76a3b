// Which streams an export is of, and what can be read of each.
#pragma once

#include "plugins/gateway/audit/audit.h"
#include "plugins/gateway/ports/journal_audit.h"
#include "plugins/gateway/ports/ports.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace palyra::gateway::audit {

constexpr uint64_t kRecordsOfAPage = 1000;

// What is exported of a stream.
struct ExportPart {
  std::string stream;
  uint64_t first_seq = 1;
  std::string prev_hash;
  uint64_t last_seq = 0;
  std::string last_hash;
  // Ranges of it that cannot be read, in order.
  std::vector<service::v1::SegmentClosed> missing;

  // The first record from `seq` on that can be read.
  uint64_t readable_from(uint64_t seq) const;
  // The last one before the next missing range.
  uint64_t readable_to(uint64_t seq) const;
};

// None if there is no such record. Errors are the journal's.
Task<Result<std::optional<service::v1::Record>>> record_at(Journal& journal, std::string stream,
                                                           uint64_t seq);

// On the gateway's lane.
class ExportChoice {
 public:
  ExportChoice(Journal& journal, JournalAudit& audit) : journal_(journal), audit_(audit) {}

  // NOT_FOUND: no such session, run or principal.
  Task<Status> choose(api::ExportAuditRequest request);
  // Every stream of the store; then streams() is empty.
  bool all() const { return all_; }
  const std::set<std::string>& streams() const { return streams_; }

 private:
  Task<Status> add_session(std::string session_id);
  Task<Status> add_listed_runs(std::string session_id);
  Task<Result<std::string>> principal_of(std::string session_id);
  Task<Status> add_sessions_of(std::string principal);
  // The whole of a stream as it is now; nothing if there is none.
  Task<Result<std::optional<ExportPart>>> whole(std::string stream);

  Journal& journal_;
  JournalAudit& audit_;
  bool all_ = false;
  std::set<std::string> streams_;
};

}  // namespace palyra::gateway::audit
