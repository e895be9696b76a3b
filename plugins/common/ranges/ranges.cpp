#include "plugins/common/ranges/ranges.h"

#include <algorithm>

namespace palyra {

uint64_t first_uncovered(const std::vector<SeqRange>& gaps, std::vector<SeqRange> covers) {
  std::sort(covers.begin(), covers.end(),
            [](const SeqRange& a, const SeqRange& b) { return a.first < b.first; });
  auto cover = covers.begin();
  uint64_t reach = 0;  // of those that begin at or before `next`
  for (const SeqRange& gap : gaps) {
    for (uint64_t next = gap.first; next <= gap.last; next = reach + 1) {
      for (; cover != covers.end() && cover->first <= next; ++cover) {
        reach = std::max(reach, cover->last);
      }
      if (reach < next) return next;
    }
  }
  return 0;
}

}  // namespace palyra
