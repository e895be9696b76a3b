// What a commit means, for every backend: all conditions are checked against the tables first, then
// everything is written, so that a refused commit has touched nothing.
#pragma once

#include "palyra/service/v1/journal.pb.h"
#include "palyra/status.hpp"
#include "palyra/world.hpp"
#include "plugins/journal/catalogue.h"
#include "plugins/journal/record_hash.h"
#include "plugins/journal/segment.h"
#include "plugins/journal/store.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace palyra::journal {

struct StreamHead {
  // The backend's own name of the stream; 0 = not known yet.
  int64_t id = 0;
  uint64_t seq = 0;
  Hash hash = kNoHash;
};

// Borrowed for the length of the call.
struct RecordRow {
  std::string_view stream;
  uint64_t seq = 0;
  uint64_t position = 0;
  std::string_view type;
  int64_t wall_time_ns = 0;
  std::string_view payload;
  std::string_view salt;
  std::string_view payload_digest;
  std::string_view prev_hash;
  std::string_view hash;
};

// Borrowed for the length of the call.
struct IndexEntry {
  int64_t index_id = 0;
  std::string_view value;
};

struct LeaseRow {
  // Grows for ever, also over releases.
  uint64_t token = 0;
  // Empty: given back.
  std::string owner;
  int64_t expires_wall_ns = 0;
};

// The rows a commit reads and writes. One thread. An error of a write means that the transaction
// has to be rolled back.
class Tables {
 public:
  virtual ~Tables() = default;
  // Before the first row of a commit is asked for.
  virtual void begin() {}
  virtual Result<StreamHead> head(const std::string& stream) = 0;
  // Appends the row and makes it the head; sets head.id of a new stream.
  virtual Status append(StreamHead& head, const RecordRow& row) = 0;
  // 0 = no such document.
  virtual Result<uint64_t> version(const std::string& collection, const std::string& key) = 0;
  // Keys of documents with this value, for a unique index.
  virtual Result<std::optional<std::string>> unique_owner(int64_t index_id,
                                                          const std::string& value) = 0;
  // `entries` replace all index entries of the document. version() was asked before.
  virtual Status put(const std::string& collection, const std::string& key, std::string_view value,
                     uint64_t version, std::span<const IndexEntry> entries) = 0;
  // version() was asked before.
  virtual Status remove(const std::string& collection, const std::string& key) = 0;
  // Token 0 = never taken.
  virtual Result<LeaseRow> lease(const std::string& name) = 0;
  virtual Status put_lease(const std::string& name, const LeaseRow& lease) = 0;
  // Removes payload and salt of records that exist.
  virtual Status erase(const std::string& stream, uint64_t first_seq, uint64_t last_seq) = 0;

  // The archive. Segments of a stream in order; `blobs` may be left out.
  virtual Result<std::vector<SegmentRow>> segments(const std::string& stream) = 0;
  // Removes the records of the segment and keeps its row instead.
  virtual Status close_segment(const std::string& stream, const SegmentRow& row) = 0;
  // The row with the same first_seq becomes this one.
  virtual Status replace_segment(const std::string& stream, const SegmentRow& row) = 0;
  // Files that are to be removed, by digest: noted before they are written, until a segment is
  // theirs, and again when it is no longer.
  virtual Status put_garbage(const std::string& digest) = 0;
  virtual Status remove_garbage(const std::string& digest) = 0;
};

// What an erasure replaces in the archive.
struct SegmentChange {
  SegmentRow before;
  SegmentRow after;
};

// One writer's commits. Not thread-safe.
class Applier {
 public:
  Applier(const Clock& clock, Random& random);
  ~Applier();

  // The position of the last record written.
  uint64_t position() const { return position_; }
  void set_position(uint64_t position) { position_ = position; }

  // `request` has passed check(). After a failure with `wrote` set the tables are half-written and
  // must be rolled back, and set_position() called again.
  Result<v1::CommitResponse> commit(Tables& tables, const Catalogue& catalogue,
                                    const v1::CommitRequest& request, bool& wrote);
  // Removes payloads from the stored records of the range; `changes` are the segments that hold
  // others of it. FAILED_PRECONDITION if the stream is no longer at expected_seq.
  Result<v1::CommitResponse> erase(Tables& tables, const EraseRequest& request,
                                   const std::vector<SegmentChange>& changes, uint64_t expected_seq,
                                   bool& wrote);
  // Moves the records of `row`, the first that are stored, to the archive; its file is durable.
  // FAILED_PRECONDITION as above.
  Result<v1::CommitResponse> archive(Tables& tables, const std::string& stream,
                                     const SegmentRow& row, uint64_t expected_seq, bool& wrote);

  // While not OK, a commit that begins a stream is refused with it.
  void refuse_new(Status status) { refuse_new_ = std::move(status); }

 private:
  struct Checked;

  Status check_leases(Tables& tables, const v1::CommitRequest& request, Checked& checked);
  Status check_appends(Tables& tables, const v1::CommitRequest& request, Checked& checked);
  Status check_documents(Tables& tables, const Catalogue& catalogue,
                         const v1::CommitRequest& request, Checked& checked);
  Status check_unique(Tables& tables, const v1::CommitRequest& request, const Checked& checked);
  Status append(Tables& tables, StreamHead& head, const std::string& stream,
                const std::string& type, std::string_view payload, int64_t wall_time_ns);
  Status append_own(Tables& tables, StreamHead& head, const std::string& stream,
                    const std::string& type, std::string_view payload,
                    v1::CommitResponse& response);

  Salt next_salt();

  const Clock& clock_;
  Random& random_;
  RecordHasher hasher_;
  // Of the commit at hand; kept for its memory.
  const std::unique_ptr<Checked> checked_;
  // Randomness of salts to come: many for one call.
  std::array<Salt, 16> salts_;
  size_t salts_left_ = 0;
  uint64_t position_ = 0;
  Status refuse_new_;
};

}  // namespace palyra::journal
