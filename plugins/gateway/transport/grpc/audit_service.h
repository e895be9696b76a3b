#pragma once

#include "plugins/gateway/audit/audit.h"
#include "plugins/gateway/transport/grpc/context.h"

#include <memory>

namespace palyra::gateway::transport {

// AuditService; every method needs the scope admin.
std::unique_ptr<grpc::Service> make_audit_service(TransportContext& context, Audit& audit);

}  // namespace palyra::gateway::transport
