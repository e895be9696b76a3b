#include "clients/audit_verify/gaps.h"

#include <algorithm>

namespace palyra::audit_verify {
namespace {

// `proven` is in falling order.
bool is_in(const std::vector<Range>& proven, uint64_t seq) {
  const auto found =
      std::lower_bound(proven.begin(), proven.end(), seq,
                       [](const Range& range, uint64_t one) { return range.first > one; });
  return found != proven.end() && seq <= found->last;
}

// The last record up to `seq` that a checkpoint names; 0 = none.
uint64_t named_up_to(const std::vector<Head>& heads, uint64_t seq) {
  const auto behind =
      std::upper_bound(heads.begin(), heads.end(), seq,
                       [](uint64_t one, const Head& head) { return one < head.seq; });
  return behind == heads.begin() ? 0 : std::prev(behind)->seq;
}

}  // namespace

uint64_t first_unexplained(const std::vector<Range>& empty, std::vector<Range> erased) {
  std::sort(erased.begin(), erased.end(),
            [](const Range& a, const Range& b) { return a.first < b.first; });
  auto range = erased.begin();
  uint64_t reach = 0;  // of the ranges that begin at or before `next`
  for (const Range& gap : empty) {
    for (uint64_t next = gap.first; next <= gap.last; next = reach + 1) {
      for (; range != erased.end() && range->first <= next; ++range) {
        reach = std::max(reach, range->last);
      }
      if (reach < next) return next;
    }
  }
  return 0;
}

GapVerdict judge_gaps(Range stream, const std::vector<Segment>& unread, std::vector<Closed> closed,
                      const std::vector<Head>& heads, bool open) {
  GapVerdict verdict;
  if (unread.empty()) return verdict;
  const auto by_first = [](const Closed& a, const Closed& b) {
    return a.segment.range.first < b.segment.range.first;
  };
  std::stable_sort(closed.begin(), closed.end(), by_first);
  std::vector<Range> proven = {{unread.back().range.last + 1, stream.last}};
  for (size_t i = unread.size(); i-- > 0;) {
    const Segment& segment = unread[i];
    const auto [begin, end] =
        std::equal_range(closed.begin(), closed.end(), Closed{0, segment}, by_first);
    bool confirmed = false;
    for (auto one = begin; one != end; ++one) {
      if (one->segment.range.last != segment.range.last || one->segment.before != segment.before ||
          one->segment.after != segment.after) {
        verdict.bad_seq = segment.range.first;
        verdict.reason = "and its archive are not what the stream closed";
        return verdict;
      }
      confirmed = confirmed || is_in(proven, one->at);
    }
    if (begin == end && i + 1 == unread.size() && !open) {
      verdict.bad_seq = segment.range.first;
      verdict.reason = "is said to be archived, and no segment_closed record says so";
      return verdict;
    }
    Range piece{i == 0 ? stream.first : unread[i - 1].range.last + 1, segment.range.first - 1};
    if (piece.first > piece.last) continue;
    if (!confirmed) {
      const uint64_t up_to = std::max(named_up_to(heads, piece.last), piece.first - 1);
      verdict.unproven += piece.last - up_to;
      piece.last = up_to;
    }
    if (piece.first <= piece.last) proven.push_back(piece);
  }
  return verdict;
}

}  // namespace palyra::audit_verify
