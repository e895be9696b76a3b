// The gRPC services: each method is one line that names scope and facade function.
#pragma once

#include "plugins/gateway/admin/admin.h"
#include "plugins/gateway/gateway.h"
#include "plugins/gateway/transport/grpc/context.h"

#include <functional>
#include <memory>
#include <vector>

namespace palyra::gateway::transport {

// GatewayService, ApprovalsService and AdminService, to be registered with one server.
std::vector<std::unique_ptr<grpc::Service>> make_services(TransportContext& context,
                                                          Gateway& gateway, Admin& admin);

}  // namespace palyra::gateway::transport
