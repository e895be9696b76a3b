// Recomputes the chain of a stream, record by record.
#pragma once

#include "palyra/service/v1/journal.pb.h"
#include "plugins/common/ranges/ranges.h"
#include "plugins/journal/record_hash.h"
#include "plugins/journal/segment.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace palyra::journal {

namespace v1 = palyra::service::v1;

// Feed the records of one stream in order, then ask for the result. A payload that is missing is
// right only if an `erased` record of the same stream covers it, and a segment of the archive only
// if a `segment_closed` record says the same of it; those records come later, so it is known at the
// end.
class ChainCheck {
 public:
  // `before`: hash of record first_seq - 1, zeros for first_seq 1.
  ChainCheck(std::string stream, uint64_t first_seq, std::string before);

  // False once something is wrong: no more records are needed.
  bool add(const v1::Record& record, bool from_archive = false);
  // The records of this segment follow from its file, or the next ones of it do.
  void archived(const SegmentRow& row);
  // The file of this segment is not there, which `why` says: its records are skipped.
  void missing(const SegmentRow& row, const std::string& why);
  // Record `seq` cannot be right. Returns false.
  bool fail(uint64_t seq, std::string reason);
  v1::VerifyResponse result();

 private:
  void confirm_segments();

  std::string stream_;
  uint64_t next_seq_;
  std::string prev_hash_;
  RecordHasher hasher_;
  v1::VerifyResponse response_;
  std::vector<SeqRange> missing_;
  std::vector<SeqRange> erased_;
  // Segments that were fed, and what the stream says of segments, the last word by first record.
  std::vector<SegmentRow> segments_;
  std::vector<SegmentRow> missing_segments_;
  std::map<uint64_t, v1::SegmentClosed> closed_;
};

}  // namespace palyra::journal
