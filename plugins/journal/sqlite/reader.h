// The readers' side of the tables on disk.
#pragma once

#include "plugins/journal/archive.h"
#include "plugins/journal/blob_scan.h"
#include "plugins/journal/catalogue.h"
#include "plugins/journal/query_plan.h"
#include "plugins/journal/sqlite/audit_reader.h"
#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/watch_hub.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace palyra::journal::sqlite {

// One connection; one thread at a time. Requests have passed check(). Each call sees one state of
// the store; none waits for the writer.
class Reader {
 public:
  // `archive` outlives the reader.
  Reader(std::unique_ptr<Database> db, Archive& archive);

  Result<v1::ReadResponse> read(const v1::ReadRequest& request);
  Result<v1::GetResponse> get(const v1::GetRequest& request);
  Result<v1::QueryResponse> query(const QueryPlan& plan);
  Result<v1::GetBlobResponse> get_blob(const v1::GetBlobRequest& request);
  Result<v1::VerifyResponse> verify(const v1::VerifyRequest& request);
  Result<WatchPage> scan(uint64_t from, const std::string& prefix);
  Result<int64_t> number(const char* sql) { return db_->number(sql); }
  // Made at its first use.
  AuditReader& audit() {
    if (!audit_) audit_ = std::make_unique<AuditReader>(*db_, archive_);
    return *audit_;
  }
  // Blobs made at `newest` or before that nothing names.
  Result<std::vector<std::string>> unnamed_blobs(int64_t newest);

  // The next segment of a stream, its head and what is archived already. NOT_FOUND.
  struct NextSegment {
    SegmentSource source;
    uint64_t head_seq = 0;
  };
  Result<NextSegment> next_segment(const v1::ArchiveRequest& request);
  struct Archived {
    std::vector<SegmentRow> segments;
    uint64_t head_seq = 0;
  };
  Result<Archived> archived(const std::string& stream);
  // One column of digests.
  Result<std::vector<std::string>> digests(const char* sql);

 private:
  // Columns: seq, position, type, wall_time_ns, payload_digest, prev_hash, hash, salt, data.
  static void fill(v1::Record& record, const Statement& row);
  // Adds stored records from `from` on, in the direction of the request.
  Status add_rows(const v1::ReadRequest& request, int64_t stream, uint64_t from, PageFill& fill,
                  v1::ReadResponse& response);
  Status read_archived(const v1::ReadRequest& request, int64_t stream, v1::ReadResponse& response);
  // Inside a snapshot.
  Result<Archived> archived_of(const std::string& stream);
  Status set_head(int64_t stream, uint64_t& head_seq);
  // 0 = unknown.
  Result<int64_t> stream_id(const std::string& stream);
  Status look_at(BlobScan& scan, const char* sql);

  std::unique_ptr<Database> db_;
  Archive& archive_;
  Statement find_stream_, head_, forward_, backward_, before_, segments_;
  Statement get_, blob_, parts_, scan_;
  std::unique_ptr<AuditReader> audit_;
};

}  // namespace palyra::journal::sqlite
