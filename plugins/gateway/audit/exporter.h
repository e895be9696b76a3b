// The export that a third party verifies with a public key only: docs/audit-format.md.
#pragma once

#include "plugins/common/digest/digest.h"
#include "plugins/gateway/audit/audit.h"
#include "plugins/gateway/audit/checkpointer.h"
#include "plugins/gateway/audit/export_choice.h"
#include "plugins/gateway/ports/journal_audit.h"
#include "plugins/gateway/ports/ports.h"

#include <optional>
#include <string>
#include <vector>

namespace palyra::gateway::audit {

// One export; on the gateway's lane. Makes a checkpoint, then goes twice over the streams chosen:
// what they hold, which is signed, then their records; so memory does not grow with the store.
// Archived records whose file is missing are left out; the signed part names them.
class Exporter {
 public:
  Exporter(const Clock& clock, Journal& journal, JournalAudit& audit, Checkpointer& checkpointer,
           api::ExportAuditRequest request);

  // NOT_FOUND (no such session, run or principal, nothing in the range), CANCELLED (nobody reads).
  Task<Status> run(Send<api::ExportAuditChunk> send);

 private:
  // Where a pass over the streams is.
  struct Walk {
    size_t next = 0;    // of names_
    std::string after;  // of the journal's list
    bool done = false;
  };

  Task<Status> find_end();
  Task<Result<std::vector<ExportPart>>> next_parts(Walk& walk);
  Task<Result<std::optional<ExportPart>>> part_of(service::v1::StreamInfo info);
  // The first record of the audit stream for which `reached` holds; it holds for all behind it.
  enum class By { kTime, kPosition };
  Task<Result<uint64_t>> first_audit_record(By by, uint64_t least);
  Task<Status> write_contents();
  Task<Status> write_missing(ExportPart part);
  Task<Status> write_checkpoints();
  Task<Status> write_records();
  Task<Status> write_part(ExportPart part);
  Task<Status> line(std::string text);
  Task<Status> flush(bool all);

  const Clock& clock_;
  Journal& journal_;
  JournalAudit& audit_;
  Checkpointer& checkpointer_;
  ExportChoice choice_;
  const api::ExportAuditRequest request_;
  Send<api::ExportAuditChunk> send_;

  std::vector<std::string> names_;  // of the streams chosen; unused if all are
  Link newest_;
  // The checkpoint up to which records are exported.
  Link end_;
  uint64_t streams_ = 0;
  uint64_t records_ = 0;
  uint64_t missing_records_ = 0;
  // To be told with the next chunk, and how many were told.
  std::vector<api::MissingRecords> missing_;
  int missing_told_ = 0;
  digest::Sha256 contents_;
  // The least position of a last record: checkpoints from there on are needed.
  uint64_t least_position_ = UINT64_MAX;
  std::string buffer_;
};

}  // namespace palyra::gateway::audit
