// The readers' side of the tables on disk.
#pragma once

#include "plugins/journal/blob_scan.h"
#include "plugins/journal/catalogue.h"
#include "plugins/journal/query_plan.h"
#include "plugins/journal/sqlite/audit_reader.h"
#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/watch_hub.h"

#include <cstdint>
#include <memory>
#include <string>

namespace palyra::journal::sqlite {

// One connection; one thread at a time. Requests have passed check(). Each call sees one state of
// the store; none waits for the writer.
class Reader {
 public:
  explicit Reader(std::unique_ptr<Database> db);

  Result<v1::ReadResponse> read(const v1::ReadRequest& request);
  Result<v1::GetResponse> get(const v1::GetRequest& request);
  Result<v1::QueryResponse> query(const QueryPlan& plan);
  Result<v1::GetBlobResponse> get_blob(const v1::GetBlobRequest& request);
  Result<v1::VerifyResponse> verify(const v1::VerifyRequest& request);
  Result<WatchPage> scan(uint64_t from, const std::string& prefix);
  Result<int64_t> number(const char* sql) { return db_->number(sql); }
  // Made at its first use.
  AuditReader& audit() {
    if (!audit_) audit_ = std::make_unique<AuditReader>(*db_);
    return *audit_;
  }
  // Blobs made at `newest` or before that nothing names.
  Result<std::vector<std::string>> unnamed_blobs(int64_t newest);

 private:
  // Columns: seq, position, type, wall_time_ns, payload_digest, prev_hash, hash, salt, data.
  static void fill(v1::Record& record, const Statement& row);
  // 0 = unknown.
  Result<int64_t> stream_id(const std::string& stream);
  Status look_at(BlobScan& scan, const char* sql);

  std::unique_ptr<Database> db_;
  Statement find_stream_, head_, forward_, backward_, before_;
  Statement get_, blob_, parts_, scan_;
  std::unique_ptr<AuditReader> audit_;
};

}  // namespace palyra::journal::sqlite
