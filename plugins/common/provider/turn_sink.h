// How one model turn reaches its caller, for provider classes that know no host.
#pragma once

#include "palyra/service/v1/provider.pb.h"
#include "palyra/status.hpp"

namespace palyra::provider {

// Events, then exactly one finish or fail; nothing after it. Called on the lane only, and event()
// only while the caller has credits left: the turn counts them.
class TurnSink {
 public:
  virtual ~TurnSink() = default;
  virtual void event(const service::v1::ChatEvent& event) = 0;
  virtual void finish(const service::v1::ChatResult& result) = 0;
  // `status` is never OK; its message is for people and holds no secret.
  virtual void fail(const Status& status, const service::v1::ChatFailure& failure) = 0;
};

}  // namespace palyra::provider
