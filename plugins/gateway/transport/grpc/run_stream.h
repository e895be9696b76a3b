// RunStream: one bidirectional stream. The reactor only hands what gRPC says to the lane; the
// conversation is a coroutine there.
#pragma once

#include "palyra/gateway/v1/gateway.pb.h"
#include "plugins/gateway/gateway.h"
#include "plugins/gateway/transport/grpc/context.h"

namespace palyra::gateway::transport {

grpc::ServerBidiReactor<api::RunStreamRequest, api::RunStreamEvent>* serve_run_stream(
    TransportContext& context, Gateway& gateway, grpc::CallbackServerContext* call);

}  // namespace palyra::gateway::transport
