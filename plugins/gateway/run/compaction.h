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

// The newest turns, which stay word for word. Fewer if these alone do not fit.
constexpr size_t kKeptTurns = 6;
// A run that got no summary is not followed by another try in so many turns, unless somebody asks.
constexpr size_t kTurnsBetweenTries = 4;

// How many of the newest turns stay if older ones are summarised: six if they fit beside a summary
// and what is no history; else as many as take half of that room at most, and one at least.
size_t kept_turns(const std::vector<Piece>& pieces, const ContextPlan& plan);
// The same from what was gathered. Of a prompt that the provider refused as too long, those that
// take half of the history that was shown stay at most.
size_t kept_turns(const tape::ContextGathered& gathered, tape::CompactionTrigger trigger);

// Whether a refused context holds turns that a summary could stand for.
bool compactable(const tape::ContextGathered& gathered);

// Whether the history should be compacted before the model is asked: something of it was left out,
// or it takes more than three fifths of the budget and a summary would stand for a fifth of the
// budget at least. `complete`: the pieces lead back to a summary or to the beginning. `kept`:
// newest turns that stay. Not for some turns after one that got no summary, and not if the context
// does not fit without any history.
bool compaction_wanted(const std::vector<Piece>& pieces, const ContextPlan& plan, bool complete,
                       size_t kept);

// Tokens that one compaction may use; estimated from the context that the turn was to see.
struct CompactionCost {
  int64_t input_tokens = 0;   // of the request at most
  int64_t output_tokens = 0;  // of the summary at most: an eighth of the window, 2,048
  bool affordable = false;    // within max_tokens, with the turn that waits for it
};
CompactionCost compaction_cost(const State& state, const Turn& turn);

// What is handed to the model that summarises.
struct CompactionPlan {
  size_t turns = 0;  // covered: those that were added
  service::ChatRequest request;
  int64_t tokens_before =
      0;  // of the covered turns, those of the summary that this one builds on too
  common::Provenance provenance = common::PROVENANCE_UNTRUSTED;
};

// Makes one plan, turn by turn, oldest first; in memory is what the request will hold.
class CompactionPlanner {
 public:
  // `previous` is the summary so far (empty = none).
  CompactionPlanner(const tape::CompactionArtifact& previous, int64_t max_input_tokens,
                    int64_t max_output_tokens);

  // False if the request has no room for it. It has room for one at least, shortened if need be.
  bool add(const Piece& turn);
  // After the last turn. `model` is without the instance.
  CompactionPlan finish(std::string_view model);

 private:
  CompactionPlan plan_;
  std::string before_;
  std::string text_;
  int64_t room_;
  int64_t used_ = 0;
  int64_t max_output_tokens_;
};

// Compactions of one run; more is for the next one.
constexpr size_t kMostCompactionsOfARun = 64;

// "12 turns, 8,400 -> 610 tokens".
std::string compaction_words(const tape::CompactionFinished& finished);

}  // namespace palyra::gateway::run
