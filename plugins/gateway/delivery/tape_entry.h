// A record of the journal as the public API shows it.
#pragma once

#include "palyra/gateway/v1/gateway.pb.h"
#include "palyra/service/v1/journal.pb.h"

#include <string>

namespace palyra::gateway {

// All but the payload, which each caller shows in its own way; digests in lower-case hex, the salt
// of an erased record empty. Pure.
palyra::gateway::v1::TapeEntry tape_entry(const std::string& stream,
                                          const palyra::service::v1::Record& record);

}  // namespace palyra::gateway
