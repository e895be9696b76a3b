// Messages that join a run after its first one: what they do to what is under way. Pure.
#pragma once

#include "plugins/gateway/run/effect.h"
#include "plugins/gateway/run/state.h"

#include <string>

namespace palyra::gateway::run {

// How many may join one run, and their bytes in sum; the shell refuses more.
constexpr size_t kMostInputs = 32;
constexpr size_t kMostInputBytes = 1024 * 1024;

// Joined messages come into the transcript behind all that was said and done before them: behind
// the first message until a context was gathered, else behind the turn that is under way.
void add_input(State& state, const tape::InputAdded& added, uint64_t seq);

// Some joined message is in no context that was gathered: the run may not complete.
bool has_unseen_input(const State& state);
// One of those stops what is in flight, and the turn ends where it is.
bool is_interrupting(const State& state);

// A call that an interruption overtook: it never began.
void overtake(Call& call);
// A call that is only looked at and was stopped by an interruption.
void stop_harmless(Call& call);

// What is wanted while is_interrupting(): first that what is in flight stops, then that questions
// and timers are closed. True if there is nothing left to do and the next turn may begin.
bool interrupt(const State& state, Decision& decision);

// Nothing is in flight but questions and timers.
bool is_drained(const State& state);

}  // namespace palyra::gateway::run
