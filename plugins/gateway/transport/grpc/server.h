// The gRPC server of the gateway: one port, all services, health and reflection.
//
// Health and reflection answer without a token: they tell whether the daemon serves and what the
// public schemas are, nothing else. All functions are called on the gateway's lane, or while it is
// held.
#pragma once

#include "palyra/status.hpp"
#include "plugins/gateway/admin/admin.h"
#include "plugins/gateway/admission/admission.h"
#include "plugins/gateway/audit/audit.h"
#include "plugins/gateway/gateway.h"
#include "plugins/gateway/replay/replays.h"
#include "plugins/gateway/sessions.h"
#include "plugins/gateway/storage.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace grpc {
class Service;
}

namespace palyra::gateway::transport {

struct TransportContext;
// Makes one gRPC service over what all share.
using ServiceFactory = std::function<std::unique_ptr<grpc::Service>(TransportContext&)>;

// OK if `listen` ("host:port") is a loopback address with a port of 0..65535. This transport has no
// TLS, so anything else is FAILED_PRECONDITION.
Status check_listen_address(const std::string& listen);

// What the services call. All outlive the server.
struct Faces {
  Gateway& gateway;
  Sessions& sessions;
  Admin& admin;
  Audit& audit;
  Replays& replays;
  Storage& storage;
};

class GrpcServer {
 public:
  // `tasks` owns the calls' coroutines and is cleared after stop().
  GrpcServer(Executor& lane, TaskScope& tasks, const Clock& clock, Admission& admission,
             const Faces& faces);
  ~GrpcServer();

  // One more service; before start().
  void add(ServiceFactory service);
  // Binds and serves; health says NOT_SERVING until set_serving. Errors: FAILED_PRECONDITION
  // (unsafe address), UNAVAILABLE (port in use).
  Status start(const std::string& listen);
  // "127.0.0.1:7443", with the port that was bound.
  const std::string& endpoint() const;
  // Until then everything but administration is refused: UNAVAILABLE.
  void set_serving(bool serving);
  // Refuses new calls and ends the open ones with UNAVAILABLE; runs go on. Idempotent.
  void end_calls();
  // Stops listening and waits for gRPC's threads. No function runs on the lane on its behalf
  // afterwards.
  void stop();
  // Unary calls that took longer than 30 s.
  uint64_t deadline_breaches() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace palyra::gateway::transport
