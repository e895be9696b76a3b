// The turns of a conversation that no summary stands for.
#pragma once

#include "plugins/gateway/session/session.h"

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace palyra::gateway {

// Oldest first, however many there are: in memory are those that the session shows anyway, or else
// the places of every 64th of them, of 64 in a row, and what was said in one. Under a run of the
// session, so that its head stays where it is.
class UncoveredTurns {
 public:
  // Behind the newest compaction in force that leads to the head, without the newest `kept` turns.
  // Of those that are not in memory, `most` are walked over to find where they begin.
  UncoveredTurns(Journal& journal, std::shared_ptr<Session> session, size_t kept, size_t most)
      : journal_(journal), session_(std::move(session)), kept_(kept), most_(most) {}

  // Finds where they begin; once, before what follows. OUT_OF_RANGE if there are more than `most`;
  // other errors are the journal's.
  Task<Status> find();

  // The compaction that they follow, and its artifact; without digest if there is none.
  const tape::Compacted& behind() const { return behind_; }
  const tape::CompactionArtifact& artifact() const { return artifact_; }

  // The next one and what was said in it; none at the end. Turns whose tape is gone or erased
  // are passed over.
  Task<Result<std::optional<HistoryTurn>>> next();
  // Makes what next() gave the next one again.
  void put_back(HistoryTurn turn) { known_.push_front(std::move(turn)); }
  // A summary stands now for all that next() has given: those left follow it.
  void cover(tape::Compacted compacted, tape::CompactionArtifact artifact);

  size_t kept() const { return kept_; }

 private:
  Task<Result<bool>> begin_behind(tape::Compacted compacted);
  Task<Status> walk_back(store::SessionView view);
  Task<Status> read_page();

  Journal& journal_;
  const std::shared_ptr<Session> session_;
  const size_t kept_;
  const size_t most_;
  tape::Compacted behind_;
  tape::CompactionArtifact artifact_;
  std::deque<HistoryTurn> known_;     // come before those of the pages
  std::vector<tape::TurnRef> marks_;  // every 64th, newest first; those not read yet
  std::deque<FoundTurn> page_;        // oldest first
};

}  // namespace palyra::gateway
