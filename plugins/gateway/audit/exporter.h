// The export that a third party verifies with a public key only: docs/audit-format.md.
#pragma once

#include "plugins/common/digest/digest.h"
#include "plugins/gateway/audit/audit.h"
#include "plugins/gateway/audit/checkpointer.h"
#include "plugins/gateway/audit/export_choice.h"
#include "plugins/gateway/audit/export_erasures.h"
#include "plugins/gateway/audit/export_lines.h"
#include "plugins/gateway/ports/journal_audit.h"
#include "plugins/gateway/ports/ports.h"

#include <optional>
#include <string>
#include <vector>

namespace palyra::gateway::audit {

// One export; on the gateway's lane. Makes a checkpoint, then goes twice over the streams chosen:
// what they hold, which is signed, then their records; so memory does not grow with the store.
// Archived records whose file is missing are left out; the signed part names them. A range of time
// is one of checkpoints: these have an order, whatever the clock did.
class Exporter {
 public:
  Exporter(const Clock& clock, Journal& journal, JournalAudit& audit, Checkpointer& checkpointer,
           api::ExportAuditRequest request);

  // NOT_FOUND (no such session, run or principal, nothing in the range), CANCELLED (nobody reads),
  // ABORTED (something was erased or moved meanwhile), DATA_LOSS (a stream or a record is gone).
  Task<Status> run(Send<api::ExportAuditChunk> send);

 private:
  // Where a pass over the streams is.
  struct Walk {
    size_t next = 0;    // of names_
    std::string after;  // of the journal's list
    bool done = false;
  };

  Task<Status> find_range();
  Task<Result<std::vector<ExportPart>>> next_parts(Walk& walk);
  Task<Result<std::optional<service::v1::StreamInfo>>> chosen_stream(std::string name);
  // One stream as it was at a position; nothing if it was not there.
  Task<Result<std::optional<service::v1::StreamInfo>>> info_of(std::string stream, uint64_t up_to,
                                                               bool look_for_files);
  Task<Result<std::optional<ExportPart>>> part_of(service::v1::StreamInfo info);
  Task<Result<ExportPart>> without_older(ExportPart part);
  Task<Result<ExportPart>> with_reasons(ExportPart part);
  Task<Result<uint64_t>> first_position(ExportPart part);
  // What `erased` records among first..last say. Errors are the journal's.
  Task<Result<std::vector<SeqRange>>> erased_by(std::string stream, uint64_t first, uint64_t last);
  // The first record of the audit stream from this position on.
  Task<Result<uint64_t>> first_audit_record(uint64_t position);
  Task<Status> write_contents();
  Task<Status> write_missing(ExportPart part);
  Task<Status> write_checkpoints();
  Task<Status> write_seal();
  Task<Status> write_records();
  Task<Status> write_part(ExportPart part);
  Task<Status> check_erasures(ExportPart part, Erasures erasures);
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
  // Records behind `begin_` are exported up to `end_`; 0 = from the first.
  uint64_t begin_ = 0;
  uint64_t begin_position_ = 0;
  Link end_;
  // Checkpoints up to here have heads: end_, or the newest if a stream goes on behind end_.
  uint64_t heads_up_to_ = 0;
  ExportScope scope_;
  uint64_t streams_ = 0;
  uint64_t records_ = 0;
  uint64_t missing_records_ = 0;
  // To be told with the next chunk, and how many were told.
  std::vector<api::MissingRecords> missing_;
  int missing_told_ = 0;
  digest::Sha256 contents_;
  // What the parts were on the first pass.
  digest::Sha256 parts_;
  // Checkpoints that cover this or more are needed: the least position of a first record.
  uint64_t least_position_ = UINT64_MAX;
  std::string buffer_;
};

}  // namespace palyra::gateway::audit
