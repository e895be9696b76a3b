// Ranges of sequence numbers.
#pragma once

#include <cstdint>
#include <vector>

namespace palyra {

// Inclusive, from 1 on.
struct SeqRange {
  uint64_t first = 0;
  uint64_t last = 0;
};

// The first number of `gaps` that no range of `covers` has; 0 = each has one. `gaps` are in order
// and apart; `covers` come as they like.
uint64_t first_uncovered(const std::vector<SeqRange>& gaps, std::vector<SeqRange> covers);

}  // namespace palyra
