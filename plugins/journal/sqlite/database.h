// SQLite as values: a connection, prepared statements, and errors a person can act on.
#pragma once

#include "palyra/status.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace palyra::journal::sqlite {

// A prepared statement. Bound views must live until the next reset(). One thread.
class Statement {
 public:
  Statement() = default;
  Statement(sqlite3* db, const char* sql);
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;

  Statement& bind(int at, int64_t value);
  Statement& bind(int at, uint64_t value) { return bind(at, static_cast<int64_t>(value)); }
  Statement& bind_text(int at, std::string_view value);
  Statement& bind_blob(int at, std::string_view value);

  // SQLITE_ROW, SQLITE_DONE or an error code; after anything but a row the statement is reset.
  int step();
  void reset();

  int64_t integer(int column) const;
  uint64_t unsigned_integer(int column) const { return static_cast<uint64_t>(integer(column)); }
  // Valid until the next step.
  std::string_view bytes(int column) const;
  bool is_null(int column) const;

 private:
  sqlite3_stmt* statement_ = nullptr;
};

// A connection. One thread at a time.
class Database {
 public:
  // `path` is named in errors; `vfs`: null = log_vfs(). PERMISSION_DENIED, DATA_LOSS, NOT_FOUND ...
  static Result<std::unique_ptr<Database>> open(const std::string& path, bool create,
                                                const char* vfs = nullptr);
  ~Database();
  Database(const Database&) = delete;

  Statement prepare(const char* sql) { return {db_, sql}; }
  Status execute(const char* sql);
  // The number that a pragma or a query gives.
  Result<int64_t> number(const char* sql);
  // What went wrong last, with `code` of step(); OK for SQLITE_OK, ROW and DONE.
  Status status(int code) const;
  sqlite3* raw() { return db_; }

 private:
  Database(std::string path, sqlite3* db) : path_(std::move(path)), db_(db) {}

  std::string path_;
  sqlite3* db_;
};

}  // namespace palyra::journal::sqlite
