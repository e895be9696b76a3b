#include "plugins/gateway/run/context_plan.h"

#include <algorithm>

namespace palyra::gateway::run {
namespace {

// Run pieces that stay whatever happens: what the model did last.
constexpr size_t kKeptRunPieces = 2;

}  // namespace

ContextPlan plan_context(std::vector<Piece>& pieces, int64_t window, int64_t max_output_tokens,
                         int64_t fixed_tokens) {
  ContextPlan plan;
  const int64_t room = std::max<int64_t>(window, 0);
  plan.budget_tokens =
      std::max<int64_t>(room - std::max(room / 5, std::min(max_output_tokens, room / 2)), 1);
  plan.tokens = fixed_tokens;
  size_t run_pieces = 0;
  for (Piece& piece : pieces) {
    piece.segment.set_dropped(false);
    plan.tokens += piece.segment.tokens();
    if (piece.segment.kind() == tape::SEGMENT_KIND_RUN) ++run_pieces;
  }
  const auto drop = [&](Piece& piece) {
    piece.segment.set_dropped(true);
    plan.tokens -= piece.segment.tokens();
  };
  for (Piece& piece : pieces) {
    if (plan.tokens <= plan.budget_tokens) break;
    if (piece.segment.kind() == tape::SEGMENT_KIND_HISTORY) drop(piece);
  }
  for (Piece& piece : pieces) {
    if (plan.tokens <= plan.budget_tokens) break;
    if (piece.segment.kind() == tape::SEGMENT_KIND_SUMMARY) drop(piece);
  }
  for (Piece& piece : pieces) {
    if (plan.tokens <= plan.budget_tokens || run_pieces <= kKeptRunPieces) break;
    if (piece.segment.kind() != tape::SEGMENT_KIND_RUN) continue;
    drop(piece);
    --run_pieces;
  }
  plan.fits = plan.tokens <= plan.budget_tokens;
  return plan;
}

}  // namespace palyra::gateway::run
