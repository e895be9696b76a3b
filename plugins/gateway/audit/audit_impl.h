// The audit over the journal.
#pragma once

#include "plugins/gateway/audit/audit.h"
#include "plugins/gateway/audit/checkpointer.h"

namespace palyra::gateway {

// On the gateway's lane. One verification at a time: each takes a core.
class AuditImpl final : public Audit {
 public:
  AuditImpl(const Clock& clock, Executor& executor, Journal& journal, JournalAudit& journal_audit,
            audit::Checkpointer& checkpointer)
      : clock_(clock),
        executor_(executor),
        journal_(journal),
        journal_audit_(journal_audit),
        checkpointer_(checkpointer) {}

  Task<Status> verify_store(Caller caller, api::VerifyStoreRequest request,
                            Send<api::VerifyStoreEvent> send) override;
  Task<Status> export_audit(Caller caller, api::ExportAuditRequest request,
                            Send<api::ExportAuditChunk> send) override;
  Task<Result<api::GetWitnessResponse>> witness(Caller caller,
                                                api::GetWitnessRequest request) override;
  Task<Result<api::GetAuditKeyResponse>> audit_key(Caller caller,
                                                   api::GetAuditKeyRequest request) override;

 private:
  const Clock& clock_;
  Executor& executor_;
  Journal& journal_;
  JournalAudit& journal_audit_;
  audit::Checkpointer& checkpointer_;
  bool verifying_ = false;
};

}  // namespace palyra::gateway
