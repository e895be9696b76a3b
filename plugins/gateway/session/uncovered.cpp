#include "plugins/gateway/session/uncovered.h"

#include <utility>

namespace palyra::gateway {
namespace {

constexpr size_t kPageTurns = 64;

}  // namespace

UncoveredTurns::UncoveredTurns(Journal& journal, store::SessionView view, tape::TurnRef head,
                               size_t kept)
    : journal_(journal), view_(std::move(view)), head_(std::move(head)), kept_(kept) {}

// Whether a summary stands for the turns up to this one. One whose artifact is gone is as if it
// were not there.
Task<Result<bool>> UncoveredTurns::ends_at(std::string turn_id) {
  const tape::Compacted* compacted = compaction_up_to(view_, turn_id);
  if (compacted == nullptr) co_return false;
  auto blob = co_await journal_.get_blob(compacted->artifact_digest());
  if (!blob.ok() && blob.status().code() != Code::kNotFound) co_return blob.status();
  tape::CompactionArtifact artifact;
  if (!blob.ok() || !artifact.ParseFromString(*blob)) co_return false;
  behind_ = *compacted;
  artifact_ = std::move(artifact);
  co_return true;
}

Task<Status> UncoveredTurns::find() {
  TurnWalk walk(journal_, head_);
  size_t newer = 0;
  size_t turns = 0;
  for (;;) {
    auto next = co_await walk.next();
    if (!next.ok()) co_return next.status();
    if (!*next) co_return Status();
    const FoundTurn turn = std::move(**next);
    auto ends = co_await ends_at(turn.at.turn_id());
    if (!ends.ok()) co_return ends.status();
    if (*ends) co_return Status();
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

Task<Result<std::optional<HistoryTurn>>> UncoveredTurns::next() {
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
