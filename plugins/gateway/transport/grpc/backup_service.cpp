#include "plugins/gateway/transport/grpc/backup_service.h"

#include "palyra/gateway/v1/backup.grpc.pb.h"
#include "plugins/gateway/transport/grpc/unary.h"

#include <utility>

namespace palyra::gateway::transport {
namespace {

using Unary = grpc::ServerUnaryReactor;
using Call = grpc::CallbackServerContext;

class BackupServiceImpl final : public api::BackupService::CallbackService {
 public:
  BackupServiceImpl(TransportContext& context, Backups& backups)
      : context_(context), backups_(backups) {}

  Unary* CreateBackup(Call* call, const api::CreateBackupRequest* request,
                      api::CreateBackupResponse* response) override {
    return serve(call, request, response, &Backups::create);
  }
  Unary* ListBackups(Call* call, const api::ListBackupsRequest* request,
                     api::ListBackupsResponse* response) override {
    return serve(call, request, response, &Backups::list);
  }

 private:
  template <typename Request, typename Response>
  Unary* serve(Call* call, const Request* request, Response* response,
               Task<Result<Response>> (Backups::*function)(Caller, Request)) {
    return serve_unary<Request, Response>(context_, call, request, response, kScopeAdmin,
                                          [this, function](Caller caller, Request input) {
                                            return (backups_.*function)(std::move(caller),
                                                                        std::move(input));
                                          });
  }

  TransportContext& context_;
  Backups& backups_;
};

}  // namespace

ServiceFactory backup_service(Backups& backups) {
  return [&backups](TransportContext& context) -> std::unique_ptr<grpc::Service> {
    return std::make_unique<BackupServiceImpl>(context, backups);
  };
}

}  // namespace palyra::gateway::transport
