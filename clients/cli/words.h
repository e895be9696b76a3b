// The words in which enumerations and numbers are shown.
#pragma once

#include "palyra/gateway/v1/gateway.pb.h"

#include <cstdint>
#include <string>

namespace palyra::cli {

// "completed", "waiting (approval)", ...
std::string state_words(gateway::v1::RunState state, gateway::v1::WaitReason reason);

// "follow-up", "collect", "steer", "interrupt"; empty for UNSPECIFIED.
std::string queue_word(tape::v1::QueueMode mode);
// UNSPECIFIED for any other word.
tape::v1::QueueMode queue_mode(const std::string& word);

// "1 record", "2 records"; `noun` is the singular of a word that takes an s.
std::string counted(uint64_t number, const std::string& noun);

}  // namespace palyra::cli
