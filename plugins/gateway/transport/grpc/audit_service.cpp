#include "plugins/gateway/transport/grpc/audit_service.h"

#include "palyra/gateway/v1/audit.grpc.pb.h"
#include "plugins/gateway/transport/grpc/stream_calls.h"
#include "plugins/gateway/transport/grpc/unary.h"

namespace palyra::gateway::transport {

namespace {

using Call = grpc::CallbackServerContext;

class AuditServiceImpl final : public api::AuditService::CallbackService {
 public:
  AuditServiceImpl(TransportContext& context, Audit& audit) : context_(context), audit_(audit) {}

  grpc::ServerWriteReactor<api::VerifyStoreEvent>* VerifyStore(
      Call* call, const api::VerifyStoreRequest* request) override {
    return send_stream<api::VerifyStoreRequest, api::VerifyStoreEvent>(
        context_, call, request, kScopeAdmin,
        [this](Caller caller, api::VerifyStoreRequest input, Send<api::VerifyStoreEvent> send) {
          return audit_.verify_store(std::move(caller), std::move(input), std::move(send));
        });
  }
  grpc::ServerWriteReactor<api::ExportAuditChunk>* ExportAudit(
      Call* call, const api::ExportAuditRequest* request) override {
    return send_stream<api::ExportAuditRequest, api::ExportAuditChunk>(
        context_, call, request, kScopeAdmin,
        [this](Caller caller, api::ExportAuditRequest input, Send<api::ExportAuditChunk> send) {
          return audit_.export_audit(std::move(caller), std::move(input), std::move(send));
        });
  }
  grpc::ServerUnaryReactor* GetWitness(Call* call, const api::GetWitnessRequest* request,
                                       api::GetWitnessResponse* response) override {
    return serve_by(context_, audit_, call, request, response, kScopeAdmin, &Audit::witness);
  }
  grpc::ServerUnaryReactor* GetAuditKey(Call* call, const api::GetAuditKeyRequest* request,
                                        api::GetAuditKeyResponse* response) override {
    return serve_by(context_, audit_, call, request, response, kScopeAdmin, &Audit::audit_key);
  }

 private:
  TransportContext& context_;
  Audit& audit_;
};

}  // namespace

std::unique_ptr<grpc::Service> make_audit_service(TransportContext& context, Audit& audit) {
  return std::make_unique<AuditServiceImpl>(context, audit);
}

}  // namespace palyra::gateway::transport
