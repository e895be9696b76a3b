// The gRPC services: each method is one line that names scope and facade function.
#pragma once

#include "plugins/gateway/transport/grpc/context.h"
#include "plugins/gateway/transport/grpc/server.h"

#include <functional>
#include <memory>
#include <vector>

namespace palyra::gateway::transport {

// All services, to be registered with one server.
std::vector<std::unique_ptr<grpc::Service>> make_services(TransportContext& context,
                                                          const Faces& faces);

}  // namespace palyra::gateway::transport
