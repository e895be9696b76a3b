// BackupService over gRPC.
#pragma once

#include "plugins/gateway/admin/backups.h"
#include "plugins/gateway/transport/grpc/server.h"

namespace palyra::gateway::transport {

// For GrpcServer::add. `backups` outlives the server.
ServiceFactory backup_service(Backups& backups);

}  // namespace palyra::gateway::transport
