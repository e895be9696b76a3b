// What one may do with a conversation beside talking in it: the face of SessionService.
#pragma once

#include "palyra/gateway/v1/sessions.pb.h"
#include "plugins/gateway/gateway.h"

namespace palyra::gateway {

// As Gateway: one instance, on the gateway's lane. Errors of all: INVALID_ARGUMENT, NOT_FOUND,
// PERMISSION_DENIED (another principal's session), UNAVAILABLE (no journal).
class Sessions {
 public:
  virtual ~Sessions() = default;

  virtual Task<Result<api::Session>> set_queue_mode(Caller caller,
                                                    api::SetQueueModeRequest request) = 0;
};

}  // namespace palyra::gateway
