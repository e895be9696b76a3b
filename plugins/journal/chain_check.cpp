#include "plugins/journal/chain_check.h"

#include "plugins/journal/request_check.h"

#include <algorithm>
#include <utility>

namespace palyra::journal {

ChainCheck::ChainCheck(std::string stream, uint64_t first_seq, std::string before)
    : stream_(std::move(stream)), next_seq_(first_seq), prev_hash_(std::move(before)) {
  response_.set_ok(true);
}

bool ChainCheck::fail(uint64_t seq, std::string reason) {
  response_.set_ok(false);
  response_.set_bad_seq(seq);
  response_.set_reason("record " + std::to_string(seq) + " of " + stream_ + ": " +
                       std::move(reason));
  return false;
}

bool ChainCheck::add(const v1::Record& record) {
  if (!response_.ok()) return false;
  const uint64_t seq = next_seq_++;
  if (record.seq() != seq) {
    return fail(seq, "missing; the next one is " + std::to_string(record.seq()));
  }
  if (record.prev_hash() != prev_hash_) return fail(seq, "does not follow the record before");
  if (record.erased()) {
    response_.set_erased(response_.erased() + 1);
    if (missing_.empty() || missing_.back().last + 1 != seq) missing_.push_back({seq, seq});
    missing_.back().last = seq;
  } else if (digest::view(hasher_.payload_digest(record.salt(), record.payload())) !=
             record.payload_digest()) {
    return fail(seq, "payload does not match its digest");
  }
  const Hash hash = hasher_.record_hash({.stream = stream_,
                                         .seq = seq,
                                         .prev_hash = record.prev_hash(),
                                         .type = record.type(),
                                         .wall_time_ns = record.wall_time_ns(),
                                         .payload_digest = record.payload_digest()});
  if (digest::view(hash) != record.hash()) return fail(seq, "hash mismatch");
  if (v1::Erased erased; record.type() == kErasedType && !record.erased() &&
                         erased.ParseFromString(record.payload()) && erased.last_seq() < seq) {
    erased_.push_back({erased.first_seq(), erased.last_seq()});
  }
  prev_hash_ = record.hash();
  response_.set_records(response_.records() + 1);
  return true;
}

v1::VerifyResponse ChainCheck::result() {
  if (response_.ok()) {
    // Merge the erased ranges, so that one missing run may be covered by several.
    std::sort(erased_.begin(), erased_.end(),
              [](const Range& a, const Range& b) { return a.first < b.first; });
    for (const Range& gap : missing_) {
      uint64_t next = gap.first;
      for (const Range& range : erased_) {
        if (range.first <= next && range.last >= next) next = range.last + 1;
      }
      if (next <= gap.last) {
        fail(next, "payload is missing and no erased record says why");
        break;
      }
    }
  }
  response_.set_head_hash(prev_hash_);
  return response_;
}

}  // namespace palyra::journal
