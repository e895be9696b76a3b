// Who calls, and may they call now? One state machine for every transport; deny by default.
//
//   no or bad token   -> UNAUTHENTICATED; RESOURCE_EXHAUSTED once its peer failed too often
//   header disagrees  -> PERMISSION_DENIED
//   too many requests -> RESOURCE_EXHAUSTED with the time to wait
//   otherwise         -> Caller, all of it from the credential's record
//
// A valid token passes even from a peer that failed often: on loopback every local program shares
// one address, and a stale script must not lock the owner out. Guessing 256 bits is no danger.
#pragma once

#include "plugins/gateway/admission/credentials.h"
#include "plugins/gateway/admission/rate_limit.h"
#include "plugins/gateway/gateway.h"

#include <string>
#include <string_view>

namespace palyra::gateway {

// A request before anybody believed it.
struct RequestContext {
  std::string peer;           // address without port
  std::string authorization;  // "Bearer ..."
  std::string principal;      // x-palyra-principal; empty = not sent
  std::string device_id;      // x-palyra-device-id
  std::string channel;        // x-palyra-channel
  std::string surface;        // the transport's name; the channel if none is sent
};

struct AdmissionLimits {
  double requests_per_second = 60;  // per principal
  double burst = 120;
  double failures_per_second = 0.2;  // failed authentications per peer
  double failure_burst = 10;
};

class Admission {
 public:
  Admission(const Clock& clock, const Credentials& credentials, AdmissionLimits limits);

  // The caller, if the request may go on. On the gateway's lane.
  Result<Caller> admit(const RequestContext& request);

  // PERMISSION_DENIED naming the scope, unless the caller has it.
  static Status require(const Caller& caller, const std::string& scope);

 private:
  const Clock& clock_;
  const Credentials& credentials_;
  RateLimit requests_;
  RateLimit failures_;
};

}  // namespace palyra::gateway
