// Ids over the host's clock and randomness.
#pragma once

#include "plugins/common/ids/ulid.h"
#include "plugins/gateway/ports/ports.h"

#include <string>

namespace palyra::gateway {

// On the gateway's lane.
class UlidIds final : public Ids {
 public:
  UlidIds(const Clock& clock, Random& random) : maker_(clock, random) {}
  std::string ulid() override { return maker_.next(); }

 private:
  ids::UlidMaker maker_;
};

}  // namespace palyra::gateway
