// What must hold of any bytes that are read as the file of a run; for the fuzz target and a test.
#pragma once

#include <string>
#include <string_view>

namespace palyra::gateway::replay {

// Aborts unless the bytes read in parts are what they are as a whole, and what was read can be
// folded and checked. Changed bytes never pass the file's seal; so that what lies behind it is
// reached, they are tried again with sequence numbers, digests and seal made anew. True if that is
// the file of a run.
bool probe_run_file(std::string_view bytes);

// The same lines with sequence numbers, digests, hashes and seal that agree with what they say.
std::string resealed(std::string_view bytes);

}  // namespace palyra::gateway::replay
