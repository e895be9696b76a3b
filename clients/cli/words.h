// The words in which enumerations are shown.
#pragma once

#include "palyra/gateway/v1/gateway.pb.h"

#include <string>

namespace palyra::cli {

// "completed", "waiting (approval)", ...
std::string state_words(gateway::v1::RunState state, gateway::v1::WaitReason reason);

// "follow-up", "collect", "steer", "interrupt"; empty for UNSPECIFIED.
std::string queue_word(tape::v1::QueueMode mode);
// UNSPECIFIED for any other word.
tape::v1::QueueMode queue_mode(const std::string& word);

}  // namespace palyra::cli
