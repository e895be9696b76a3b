// What the services of this transport share, and how a Status becomes gRPC's.
#pragma once

#include "palyra/task.hpp"
#include "palyra/world.hpp"
#include "plugins/gateway/admission/admission.h"
#include "plugins/gateway/transport/grpc/live_calls.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/service_type.h>

#include <atomic>
#include <string>

namespace palyra::gateway::transport {

// Outlives every call. Only `live` may be touched outside the lane.
struct TransportContext {
  Executor& lane;
  TaskScope& tasks;
  const Clock& clock;
  Admission& admission;
  LiveCalls live;
  // Runs and sessions can be asked for: the journal is open and what was unfinished goes on. Lane
  // only.
  bool serving = false;
  // Unary calls take at most this long.
  int64_t unary_timeout_ns = 30 * kNanosPerSecond;
  // Calls that ran into it, for metrics.
  std::atomic<uint64_t> deadline_breaches{0};
};

inline grpc::Status to_grpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), status.message());
}

inline Status not_serving() {
  return Status(Code::kUnavailable,
                "the daemon is starting, or its journal is not open; try again shortly, or see: "
                "palyra doctor",
                PALYRA_ERROR_RETRYABLE);
}

inline grpc::Status shutting_down() {
  return grpc::Status(
      grpc::StatusCode::UNAVAILABLE,
      "the daemon is stopping; ask again at its next start (runs go on by themselves then)");
}

// The request's headers; valid as long as the call.
inline RequestContext request_context(const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto header = [&](const char* name) {
    const auto found = metadata.find(name);
    return found == metadata.end() ? std::string()
                                   : std::string(found->second.data(), found->second.size());
  };
  RequestContext request;
  request.peer = context.peer();
  if (const auto colon = request.peer.rfind(':'); colon != std::string::npos) {
    request.peer.resize(colon);
  }
  request.authorization = header("authorization");
  request.principal = header("x-palyra-principal");
  request.device_id = header("x-palyra-device-id");
  request.channel = header("x-palyra-channel");
  request.surface = "grpc";
  return request;
}

}  // namespace palyra::gateway::transport
