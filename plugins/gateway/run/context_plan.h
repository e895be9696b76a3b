// Which segments fit. Pure.
#pragma once

#include "plugins/gateway/run/compile.h"

#include <cstdint>
#include <vector>

namespace palyra::gateway::run {

struct ContextPlan {
  int64_t tokens = 0;         // of the kept pieces and `fixed_tokens`
  int64_t budget_tokens = 0;  // window less the reserve and the output
  bool fits = true;           // false: even what must be kept is too much
};

// Marks what does not fit as dropped. Order of the pieces is the order of the prompt, stable prefix
// first: system, agent, pinned, summary, history (oldest first), input, run, repair. Dropped first:
// the oldest history, then the summary, then the oldest run pieces but the last two; system, agent,
// pinned, input and repair are never dropped. `window` in tokens; 1/5 of it is reserve, from which
// the output comes; what `max_output_tokens` needs beyond the reserve is taken from the budget too,
// up to half the window. `fixed_tokens`: tool definitions.
ContextPlan plan_context(std::vector<Piece>& pieces, int64_t window, int64_t max_output_tokens,
                         int64_t fixed_tokens);

}  // namespace palyra::gateway::run
