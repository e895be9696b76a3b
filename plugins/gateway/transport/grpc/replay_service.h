// ReplayService over gRPC.
#pragma once

#include "plugins/gateway/replay/replays.h"
#include "plugins/gateway/transport/grpc/context.h"

#include <memory>

namespace palyra::gateway::transport {

std::unique_ptr<grpc::Service> make_replay_service(TransportContext& context, Replays& replays);

}  // namespace palyra::gateway::transport
