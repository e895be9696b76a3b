// Proof that nothing was changed, as every transport asks for it; the scope is checked before and
// again. On the gateway's lane.
#pragma once

#include "palyra/gateway/v1/audit.pb.h"
#include "plugins/gateway/gateway.h"

namespace palyra::gateway {

// Where the messages of a stream go. At most one write at a time.
template <typename Message>
class Sink {
 public:
  virtual ~Sink() = default;
  // Waits until there is room. False: nobody reads any more.
  virtual Task<bool> write(Message message) = 0;
};

class Audit {
 public:
  virtual ~Audit() = default;

  virtual Task<Status> verify_store(Caller caller, api::VerifyStoreRequest request,
                                    Sink<api::VerifyStoreEvent>& sink) = 0;
  virtual Task<Status> export_audit(Caller caller, api::ExportAuditRequest request,
                                    Sink<api::ExportAuditChunk>& sink) = 0;
  virtual Task<Result<api::GetWitnessResponse>> witness(Caller caller,
                                                        api::GetWitnessRequest request) = 0;
  virtual Task<Result<api::GetAuditKeyResponse>> audit_key(Caller caller,
                                                           api::GetAuditKeyRequest request) = 0;
};

}  // namespace palyra::gateway
