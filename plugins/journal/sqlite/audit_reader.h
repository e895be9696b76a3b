// What verification and export read of the tables on disk.
#pragma once

#include "plugins/journal/archive.h"
#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/store_check.h"

#include <cstdint>
#include <string>

struct sqlite3_context;
struct sqlite3_value;

namespace palyra::journal::sqlite {

// Over a reader's connection, on its thread. Each call is one page of work: no snapshot of the
// store is held longer, so the log can be moved into the database meanwhile. Requests have passed
// check(); `position` is what is visible now.
class AuditReader : private Places {
 public:
  // `archive` outlives the reader.
  AuditReader(Database& db, Archive& archive);

  Result<v1::HeadsResponse> heads(const v1::HeadsRequest& request, uint64_t position);
  Result<v1::VerifyStoreResponse> verify(const v1::VerifyStoreRequest& request, uint64_t position);
  Result<v1::ListStreamsResponse> list(const v1::ListStreamsRequest& request, uint64_t position);

 private:
  Result<std::optional<std::string>> name(int64_t stream) override;
  Result<std::optional<Before>> before(int64_t stream, uint64_t seq, uint64_t position) override;
  Status marks(int64_t stream, const Mark& mark) override;
  // Gives pass_ its function check_row(). Returns the connection, for the members that follow.
  static Database& with_check_row(Database& db, AuditReader* self);
  static void check_row(sqlite3_context* context, int, sqlite3_value** values);
  Status find_hidden(StoreCheck& check);
  Status look_up(const v1::StreamSeq& at, v1::HeadsResponse& response);

  Status look_up_archived(const v1::StreamSeq& at, v1::HeadsResponse& response);

  Database& db_;
  Archive& archive_;
  // Of the pass under way.
  StoreCheck* check_ = nullptr;
  Status check_status_;
  Statement name_, before_, marks_, hidden_, pass_, window_, at_, list_, last_, first_;
};

}  // namespace palyra::journal::sqlite
