// What is missing of a stream, and whether the rest of it says why.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::audit_verify {

// Sequence numbers, inclusive.
struct Range {
  uint64_t first = 0;
  uint64_t last = 0;
};
// Archived records, with the hashes around them.
struct Segment {
  Range range;
  std::string before;
  std::string after;
  std::string digest;
};
// What the segment_closed record number `at` says.
struct Closed {
  uint64_t at = 0;
  Segment segment;
};
// The record that a checkpoint names. There may be many: small.
struct Head {
  uint64_t seq = 0;
  std::array<char, 32> hash = {};
  uint64_t checkpoint = 0;

  bool is(std::string_view other) const { return std::string_view(hash.data(), 32) == other; }
};

// The first record of `empty` that no range of `erased` covers; 0 = none. `empty` is in order.
uint64_t first_unexplained(const std::vector<Range>& empty, std::vector<Range> erased);

struct GapVerdict {
  // 0 = nothing is wrong.
  uint64_t bad_seq = 0;
  std::string reason;
  // Records that are there, and that nothing ties to what is proven: the records in between are
  // missing, and so is what would say of these what they were.
  uint64_t unproven = 0;
};
// Of a stream from record `first` to `last`, which is proven; `unread` and `heads` are in order. A
// segment that nobody could read is right if a segment_closed record that is itself proven says the
// same of it. That record may be in a later segment that is unread, too; without one, such a
// segment is an invention, unless records behind `last` may say so (`open`).
GapVerdict judge_gaps(Range stream, const std::vector<Segment>& unread, std::vector<Closed> closed,
                      const std::vector<Head>& heads, bool open);

}  // namespace palyra::audit_verify
