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

bool ChainCheck::add(const v1::Record& record, bool from_archive) {
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
  if (v1::SegmentClosed closed; record.type() == kSegmentClosedType && !record.erased() &&
                                closed.ParseFromString(record.payload()) &&
                                closed.last_seq() < seq) {
    closed_[closed.first_seq()] = std::move(closed);
  }
  prev_hash_ = record.hash();
  response_.set_records(response_.records() + 1);
  if (from_archive) response_.set_archived(response_.archived() + 1);
  return true;
}

void ChainCheck::archived(const SegmentRow& row) { segments_.push_back(row); }

void ChainCheck::missing(const SegmentRow& row, const std::string& why) {
  if (!response_.ok()) return;
  if (row.first_seq == next_seq_ && row.prev_hash != prev_hash_) {
    fail(row.first_seq, "its archive does not follow the record before");
    return;
  }
  segments_.push_back(row);
  missing_segments_.push_back(row);
  if (response_.reason().empty()) response_.set_reason(why);
  response_.set_archive_missing(response_.archive_missing() + row.last_seq + 1 - next_seq_);
  next_seq_ = row.last_seq + 1;
  prev_hash_ = row.last_hash;
}

// What was taken for a segment must be what the chain says of it.
void ChainCheck::confirm_segments() {
  for (const SegmentRow& row : segments_) {
    const auto found = closed_.find(row.first_seq);
    if (found != closed_.end()) {
      if (found->second.SerializeAsString() == row.closed().SerializeAsString()) continue;
      fail(row.first_seq, "its archive is not the one that the stream closed");
      return;
    }
    // The record that closed it may itself be in a file that is missing.
    const bool unknown =
        std::any_of(missing_segments_.begin(), missing_segments_.end(),
                    [&](const SegmentRow& gone) { return gone.last_seq > row.last_seq; });
    if (!unknown) {
      fail(row.first_seq, "archived, and no segment_closed record says so");
      return;
    }
  }
}

v1::VerifyResponse ChainCheck::result() {
  if (response_.ok()) {
    const uint64_t lost = first_uncovered(missing_, erased_);
    if (lost != 0) fail(lost, "payload is missing and no erased record says why");
  }
  if (response_.ok()) confirm_segments();
  response_.set_head_hash(prev_hash_);
  return response_;
}

}  // namespace palyra::journal
