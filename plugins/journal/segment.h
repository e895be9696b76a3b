// A segment of the archive: records of one stream that left the store for a file. The file is a
// gzip of the lines that docs/audit-format.md describes, so that zcat and any verifier can read it.
#pragma once

#include "palyra/service/v1/journal.pb.h"
#include "palyra/service/v1/journal_upkeep.pb.h"
#include "palyra/status.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::journal {

namespace v1 = palyra::service::v1;

// Of a segment: bytes of its text, and records. One record always fits.
constexpr size_t kSegmentText = 8u << 20;
constexpr size_t kSegmentRecords = 4096;
// The journal's own record type; its payload is a `SegmentClosed` message.
constexpr char kSegmentClosedType[] = "segment_closed";

// What a store keeps of a segment.
struct SegmentRow {
  uint64_t first_seq = 0;
  uint64_t last_seq = 0;
  // 32 bytes each.
  std::string prev_hash;
  std::string last_hash;
  // SHA-256 of the file.
  std::string digest;
  uint64_t file_bytes = 0;
  // Digests of the blobs that its payloads name.
  std::vector<std::string> blobs;

  v1::SegmentClosed closed() const;
  uint64_t records() const { return last_seq - first_seq + 1; }
};

// In order of seq, without gap.
using Segment = std::vector<v1::Record>;

// Gathers the records of the next segment: the oldest that are stored, within the limits.
class SegmentSource {
 public:
  // `head_seq` and `archived_to` are the stream's.
  SegmentSource(const v1::ArchiveRequest& request, uint64_t head_seq, uint64_t archived_to);
  // Records next()..up_to() are wanted, in order; nothing if next() is behind up_to().
  uint64_t next() const { return next_; }
  uint64_t up_to() const { return up_to_; }
  // False: the segment is full.
  bool add(const v1::Record& record);
  const Segment& records() const { return records_; }
  // Without the commit.
  v1::ArchiveResponse response() const;

 private:
  const std::string stream_;
  uint64_t next_;
  uint64_t up_to_;
  uint64_t archived_to_;
  Segment records_;
  size_t text_ = 0;
  uint64_t payload_ = 0;
};

// The file. INVALID_ARGUMENT if the stream's name is not UTF-8.
Result<std::string> encode_segment(const Segment& records);
// DATA_LOSS if the file is not what `row` says: digest, form, sequence numbers.
Result<Segment> decode_segment(const std::string& stream, const SegmentRow& row,
                               std::string_view file);
// Describes a file of these records.
SegmentRow describe_segment(const Segment& records, std::string_view file);

}  // namespace palyra::journal
