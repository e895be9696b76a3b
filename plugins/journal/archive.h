// Reading what was archived, as if it were still in the store.
#pragma once

#include "palyra/service/v1/journal_audit.pb.h"
#include "plugins/journal/chain_check.h"
#include "plugins/journal/segment.h"
#include "plugins/journal/segment_files.h"

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace palyra::journal {

// The files of a store's archive. Keeps the segment that was opened last. [any thread]
class Archive {
 public:
  explicit Archive(SegmentFiles& files) : files_(files) {}

  // NOT_FOUND says where to put the file; DATA_LOSS if it is not the one that was written.
  Result<std::shared_ptr<const Segment>> open(const std::string& stream, const SegmentRow& row);
  // OK if the file is there and the one that was written; otherwise as open(), without unpacking.
  Status look(const std::string& stream, const SegmentRow& row);
  // The segment is not kept any longer.
  void forget(const std::string& digest);
  SegmentFiles& files() { return files_; }

 private:
  SegmentFiles& files_;
  std::mutex mutex_;
  std::string digest_;
  std::shared_ptr<const Segment> segment_;
};

// The records of one page of a read, within its limits.
class PageFill {
 public:
  // `request` has passed check(); both outlive this.
  PageFill(const v1::ReadRequest& request, v1::ReadResponse& response);
  // False: it has no room any more. At least one record always fits.
  bool room(size_t payload_bytes);
  bool add(const v1::Record& record);
  // Records that may come.
  int64_t left() const { return static_cast<int64_t>(limit_) - response_.records_size(); }
  bool full() const { return full_; }

 private:
  v1::ReadResponse& response_;
  const uint32_t limit_;
  const uint64_t max_bytes_;
  uint64_t bytes_ = 0;
  bool full_ = false;
};

// Answers a read of a stream of which `segments` (in order, the beginning of the stream) are
// archived. `rows(fill, from)` adds the stored records from `from` on in the direction of the read;
// descending it ends where the stored ones do. head_seq is set already.
Status read_with_archive(const v1::ReadRequest& request, const std::vector<SegmentRow>& segments,
                         Archive& archive, v1::ReadResponse& response,
                         const std::function<Status(PageFill& fill, uint64_t from)>& rows);

// Gives `check` what is archived from record `first` on; returns the first record behind it, or
// `first` if that is not archived.
uint64_t check_archived(ChainCheck& check, const std::string& stream, uint64_t first,
                        const std::vector<SegmentRow>& segments, Archive& archive);
// The hash of record `seq` if it is archived; empty if it is not or cannot be read.
std::string archived_hash(const std::string& stream, uint64_t seq,
                          const std::vector<SegmentRow>& segments, Archive& archive);

// The record if it is archived and its file can be read; `holder` keeps it. Null otherwise.
const v1::Record* archived_record(const std::string& stream, uint64_t seq,
                                  const std::vector<SegmentRow>& segments, Archive& archive,
                                  std::shared_ptr<const Segment>& holder);

// Fills in the last archived record with a position of at most `up_to`; false if there is none. If
// the file that decides is missing, it is taken for one that reaches up to there.
bool last_archived(const std::string& stream, uint64_t up_to,
                   const std::vector<SegmentRow>& segments, Archive& archive, v1::StreamInfo& info);
// Names the segments up to info.last_seq whose files are missing; adds the bytes looked at.
void look_for_files(const std::vector<SegmentRow>& segments, Archive& archive, v1::StreamInfo& info,
                    uint64_t& bytes);

// What an erasure changes in the archive: the segments that it touches, rewritten without those
// payloads, and their new files.
struct Rewritten {
  SegmentRow before;
  SegmentRow after;
  std::string file;
};
// Empty if the segment holds no such payload any more. NOT_FOUND if its file is not there.
Result<std::vector<Rewritten>> rewrite_without(const std::string& stream, const SegmentRow& row,
                                               uint64_t first_seq, uint64_t last_seq,
                                               const std::vector<std::string>& all_blobs,
                                               Archive& archive);
// DATA_LOSS if the records are not what their hashes say: damage stays where it can be found.
Status check_before_archiving(const std::string& stream, const Segment& records);
// The digests of `all_blobs` that the payloads name.
std::vector<std::string> named_blobs(const Segment& records,
                                     const std::vector<std::string>& all_blobs);

}  // namespace palyra::journal
