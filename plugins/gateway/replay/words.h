// Records of a run's tape in words, and how two differ. Works on records that later versions add.
#pragma once

#include "palyra/tape/v1/run.pb.h"

#include <cstdint>
#include <string>
#include <vector>

namespace palyra::gateway::replay {

// What the record says of an effect before it begins; null if it starts none.
const palyra::tape::v1::EffectStart* start_of(const palyra::tape::v1::RunEvent& event);
// The ordinal whose effect this record ends; 0 if it ends none.
uint64_t ordinal_ended_by(const palyra::tape::v1::RunEvent& event);
// "tool_call_started fs.write #7 attempt 2"; "an unknown record" if nothing is set.
std::string describe(const palyra::tape::v1::RunEvent& event);
// Names of the fields of the records' payloads that differ: "start.reserved_tokens". Empty if they
// are equal or of different types.
std::vector<std::string> differing_fields(const palyra::tape::v1::RunEvent& a,
                                          const palyra::tape::v1::RunEvent& b);

}  // namespace palyra::gateway::replay
