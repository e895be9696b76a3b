#include "plugins/gateway/session/uncovered.h"

#include <algorithm>
#include <string>
#include <utility>

namespace palyra::gateway {
namespace {

constexpr size_t kPageTurns = 64;

}  // namespace

// One whose artifact is gone is as if it were not there: false.
Task<Result<bool>> UncoveredTurns::begin_behind(tape::Compacted compacted) {
  auto blob = co_await journal_.get_blob(compacted.artifact_digest());
  if (!blob.ok() && blob.status().code() != Code::kNotFound) co_return blob.status();
  tape::CompactionArtifact artifact;
  if (!blob.ok() || !artifact.ParseFromString(*blob)) co_return false;
  behind_ = std::move(compacted);
  artifact_ = std::move(artifact);
  co_return true;
}

Task<Status> UncoveredTurns::find() {
  if (const History* shown = session_->whole_history()) {
    known_ = shown->turns;
    known_.resize(known_.size() - std::min(known_.size(), kept_));
    if (!shown->summary) co_return Status();
    auto begun = co_await begin_behind(shown->compacted);
    if (!begun.ok()) co_return begun.status();
    if (*begun) co_return Status();
    known_.clear();
  }
  auto view = co_await session_->view();
  if (!view.ok()) co_return view.status();
  co_return co_await walk_back(std::move(*view));
}

Task<Status> UncoveredTurns::walk_back(store::SessionView view) {
  TurnWalk walk(journal_, session_->head());
  size_t newer = 0;
  size_t turns = 0;
  for (size_t walked = 0;; ++walked) {
    auto next = co_await walk.next();
    if (!next.ok()) co_return next.status();
    if (!*next) co_return Status();
    const FoundTurn turn = std::move(**next);
    if (walked == most_) {
      co_return Status(Code::kOutOfRange, "more than " + std::to_string(most_) +
                                              " turns have no summary; summarise them with: "
                                              "palyra sessions compact " +
                                              session_->id());
    }
    if (const tape::Compacted* compacted = compaction_up_to(view, turn.at.turn_id())) {
      auto begun = co_await begin_behind(*compacted);
      if (!begun.ok()) co_return begun.status();
      if (*begun) co_return Status();
    }
    if (newer < kept_) {
      auto piece = co_await read_turn(journal_, turn.turn);
      if (!piece.ok()) co_return piece.status();
      newer += piece->messages.empty() ? 0 : 1;
    } else if (turns++ % kPageTurns == 0) {
      marks_.push_back(turn.at);
    }
  }
}

Task<Status> UncoveredTurns::read_page() {
  TurnWalk walk(journal_, marks_.back());
  marks_.pop_back();
  while (page_.size() < kPageTurns) {
    auto next = co_await walk.next();
    if (!next.ok()) co_return next.status();
    if (!*next || (*next)->at.turn_id() == behind_.up_to().turn_id()) break;
    page_.push_front(std::move(**next));
  }
  co_return Status();
}

void UncoveredTurns::cover(tape::Compacted compacted, tape::CompactionArtifact artifact) {
  behind_ = std::move(compacted);
  artifact_ = std::move(artifact);
}

Task<Result<std::optional<HistoryTurn>>> UncoveredTurns::next() {
  if (!known_.empty()) {
    std::optional<HistoryTurn> turn = std::move(known_.front());
    known_.pop_front();
    co_return turn;
  }
  for (;;) {
    if (page_.empty()) {
      if (marks_.empty()) co_return std::optional<HistoryTurn>();
      const Status status = co_await read_page();
      if (!status.ok()) co_return status;
      continue;
    }
    const FoundTurn turn = std::move(page_.front());
    page_.pop_front();
    auto piece = co_await read_turn(journal_, turn.turn);
    if (!piece.ok()) co_return piece.status();
    if (piece->messages.empty()) continue;
    HistoryTurn out;
    out.at = turn.at;
    out.piece = std::move(*piece);
    co_return std::optional<HistoryTurn>(std::move(out));
  }
}

}  // namespace palyra::gateway
