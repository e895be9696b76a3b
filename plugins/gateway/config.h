// The section [gateway] of palyra.toml as values.
#pragma once

#include "palyra/status.hpp"
#include "plugins/gateway/admission/admission.h"
#include "plugins/gateway/policy/policy.h"
#include "plugins/gateway/retention/plan.h"
#include "plugins/gateway/session/options.h"

#include <string>
#include <string_view>

namespace palyra::gateway {

struct GatewayConfig {
  std::string grpc_listen = "127.0.0.1:7443";  // port 0 = any, for tests
  Options options;
  policy::PolicyRules policy;
  AdmissionLimits admission;
  retention::Rules retention;
  // "env:NAME" or "file:PATH" of a token that also administers; empty = none.
  std::string admin_auth_token;
  // Seconds from a change to the checkpoint that covers it.
  int64_t checkpoint_every_s = 300;
};

// `json` is an object as manifest.json describes it; defaults fill what is missing.
// INVALID_ARGUMENT names the key and what to write there. Pure.
Result<GatewayConfig> parse_config(std::string_view json);

}  // namespace palyra::gateway
