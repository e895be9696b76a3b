// What to write about effects that were cut off, by effect class. Pure.
//
// none, idempotent, keyed: interrupted; decide() wants the same ordinal and key again
// verifiable:              interrupted; decide() wants a start that only asks the tool
// opaque:                  unknown; never again; the model is told
// a model turn:            interrupted with what had been shown; again, and charged again
// an approval, a timer:    nothing; it is still pending, and the shell arms it again
#pragma once

#include "plugins/gateway/run/state.h"

#include <string>
#include <vector>

namespace palyra::gateway::run {

// The records that end one effect's attempt without a result: the plugin or its process died under
// it, or it did not stop within the grace period. Empty for an approval or a timer.
std::vector<tape::RunEvent> interrupt_effect(const State& state, const Effect& effect,
                                             const std::string& partial_text,
                                             const std::string& reason);

// All in flight, when the grace period of a stop is over.
std::vector<tape::RunEvent> interrupt_events(const State& state, const std::string& partial_text,
                                             const std::string& reason);

// The records to append when a daemon takes over a folded, unfinished run, before anything else.
// Empty for a run that is QUEUED or WAITING: there is nothing to say.
std::vector<tape::RunEvent> recover_events(const State& state, uint64_t fence,
                                           const std::string& partial_text);

}  // namespace palyra::gateway::run
