// What the tools answered in a run, and which of it answers a call of a run that repeats it. Pure.
#pragma once

#include "palyra/tape/v1/recording.pb.h"
#include "plugins/gateway/run/state.h"

#include <string>
#include <string_view>

namespace palyra::gateway::replay {

// The rule that a policy evaluation names where nothing is executed.
inline constexpr char kReplayRule[] = "replay";

// Keys sorted, no blanks, so that equal calls are equal bytes; what is not JSON as it is.
std::string canonical_arguments(std::string_view json);

// The calls of a run that had an answer, in the order of their proposal.
palyra::tape::v1::Recording record_of(const run::State& state);

// Whether the run's calls are answered from a recording: nothing is executed.
bool answers_recorded(const palyra::tape::v1::RunCreated& created);

// The answer to the call: the n-th recorded one with this tool and these arguments answers the n-th
// such call of the run. Null if the recording does not have it.
const palyra::tape::v1::RecordedCall* find_recorded(const palyra::tape::v1::Recording& recording,
                                                    const run::State& state, uint32_t turn,
                                                    uint32_t call_index);

}  // namespace palyra::gateway::replay
