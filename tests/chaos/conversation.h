// The tape of a session as evidence: its turns, where its head went, what is summed up. Pure.
#pragma once

#include "palyra/tape/v1/session.pb.h"
#include "tests/chaos/ledger.h"
#include "tests/chaos/tape.h"

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace palyra::chaos {

struct Conversation {
  std::string session_id;
  bool branch = false;
  std::string from;  // turn where the branch begins
  std::string head;
  std::map<std::string, std::string> parents;  // of its own turns
  std::map<std::string, std::string> turn_of;  // by run
  std::vector<std::string> accepted;           // runs, in order
  std::vector<std::string> taken;
  std::vector<std::string> moves;         // heads, in order
  std::vector<tape::Compacted> made;      // by its own runs
  std::vector<tape::Compacted> in_force;  // those that a branch began with, too
  // Broken rules of one tape: a turn that does not follow the head, two turns of a run, inputs
  // taken in another order than they were accepted.
  std::vector<std::string> problems;
};

Conversation follow(const std::string& session_id, const std::vector<tape::SessionEvent>& events);

// Turn -> its parent, of all sessions.
using TurnTree = std::map<std::string, std::string>;
TurnTree tree_of(const std::map<std::string, Conversation>& all);
// From the head back to the first turn.
std::vector<std::string> path(const TurnTree& tree, const std::string& head);

// Acknowledged heads that the tape does not have, in that order.
size_t missing_moves(const Conversation& conversation, const std::vector<std::string>& moves);

struct HistoryCounts {
  size_t sessions = 0;
  size_t turns = 0;
  size_t branches = 0;  // acknowledged
  size_t branches_there = 0;
  size_t moves = 0;  // acknowledged
  size_t moves_there = 0;
  size_t compactions = 0;  // finished on a run's tape
  size_t compactions_there = 0;
  size_t covered = 0;  // turns, over all of them
};

// Problems between tapes: a run that was answered and is no turn, a turn that leads nowhere, an
// acknowledged branch or rewind that is not there, a compaction that is on one of its two tapes
// only or covers another number of turns than lead up to its last one.
std::vector<std::string> compare(const std::map<std::string, Conversation>& conversations,
                                 const std::map<std::string, Tape>& runs, const History& history,
                                 HistoryCounts* counts);

}  // namespace palyra::chaos
