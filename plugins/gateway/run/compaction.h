// Which older turns a summary stands for, what it may cost and what the model that writes it sees.
// Pure.
#pragma once

#include "plugins/gateway/run/compile.h"
#include "plugins/gateway/run/context_plan.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::gateway::run {

// The newest turns, which stay word for word.
constexpr size_t kKeptTurns = 6;

// Whether the context holds turns that a summary could stand for.
bool compactable(const tape::ContextGathered& gathered);

// Whether the history should be compacted before the model is asked: it takes more than three
// fifths of the budget or something of it was left out, and a summary would stand for a tenth of
// the budget at least. `complete`: the pieces lead back to a summary or to the beginning.
bool compaction_wanted(const std::vector<Piece>& pieces, const ContextPlan& plan, bool complete);

// Tokens that one compaction may use; estimated from the context that the turn was to see.
struct CompactionCost {
  int64_t input_tokens = 0;   // of the request at most
  int64_t output_tokens = 0;  // of the summary at most: an eighth of the window, 2,048
  bool affordable = false;    // within max_tokens, with the turn that waits for it
};
CompactionCost compaction_cost(const State& state, const Turn& turn);

// What is handed to the model that summarises.
struct CompactionPlan {
  size_t turns = 0;  // covered: the first of those offered
  service::ChatRequest request;
  int64_t tokens_before =
      0;  // of the covered turns, those of the summary that this one builds on too
  common::Provenance provenance = common::PROVENANCE_UNTRUSTED;
};

// `previous` is the summary so far (empty = none), `turns` what may be covered, oldest first; as
// many as the request has room for, but one at least, shortened if need be. `model` is without the
// instance.
CompactionPlan plan_compaction(const tape::CompactionArtifact& previous,
                               const std::vector<Piece>& turns, std::string_view model,
                               int64_t max_input_tokens, int64_t max_output_tokens);

// "12 turns, 8,400 -> 610 tokens".
std::string compaction_words(const tape::CompactionFinished& finished);

}  // namespace palyra::gateway::run
