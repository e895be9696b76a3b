// The words in which enumerations are shown.
#pragma once

#include "palyra/gateway/v1/gateway.pb.h"

#include <string>

namespace palyra::cli {

// "completed", "waiting (approval)", ...
std::string state_words(gateway::v1::RunState state, gateway::v1::WaitReason reason);

}  // namespace palyra::cli
