// Proof that nothing was changed, as every transport asks for it; the scope is checked before and
// again. On the gateway's lane.
#pragma once

#include "palyra/gateway/v1/audit.pb.h"
#include "plugins/gateway/gateway.h"
#include "plugins/gateway/streams.h"

namespace palyra::gateway {

class Audit {
 public:
  virtual ~Audit() = default;

  virtual Task<Status> verify_store(Caller caller, api::VerifyStoreRequest request,
                                    Send<api::VerifyStoreEvent> send) = 0;
  virtual Task<Status> export_audit(Caller caller, api::ExportAuditRequest request,
                                    Send<api::ExportAuditChunk> send) = 0;
  virtual Task<Result<api::GetWitnessResponse>> witness(Caller caller,
                                                        api::GetWitnessRequest request) = 0;
  virtual Task<Result<api::GetAuditKeyResponse>> audit_key(Caller caller,
                                                           api::GetAuditKeyRequest request) = 0;
};

}  // namespace palyra::gateway
