#include "plugins/gateway/transport/grpc/backup_service.h"

#include "palyra/gateway/v1/backup.grpc.pb.h"
#include "plugins/gateway/transport/grpc/stream_calls.h"
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
    return serve_by(context_, backups_, call, request, response, kScopeAdmin, &Backups::create);
  }
  Unary* ListBackups(Call* call, const api::ListBackupsRequest* request,
                     api::ListBackupsResponse* response) override {
    return serve_by(context_, backups_, call, request, response, kScopeAdmin, &Backups::list);
  }
  grpc::ServerWriteReactor<api::BackupChunk>* DownloadBackup(
      Call* call, const api::DownloadBackupRequest* request) override {
    return send_stream<api::DownloadBackupRequest, api::BackupChunk>(
        context_, call, request, kScopeAdmin,
        [this](Caller caller, api::DownloadBackupRequest input, Send<api::BackupChunk> send) {
          return backups_.download(std::move(caller), std::move(input), std::move(send));
        });
  }

 private:
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
