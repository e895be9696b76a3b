#include "plugins/journal/sqlite/database.h"

#include "plugins/journal/sqlite/log_vfs.h"

#include <sqlite3.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace palyra::journal::sqlite {
namespace {

Status map_error(const std::string& path, int code, int extended, int system_error,
                 const char* text) {
  const std::string where = "journal " + path + ": ";
  if (code == SQLITE_FULL || system_error == ENOSPC || system_error == EDQUOT ||
      system_error == EFBIG) {
    return {Code::kResourceExhausted,
            where + "the disk is full; free space there, reads go on meanwhile",
            PALYRA_ERROR_RETRYABLE};
  }
  switch (code) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {Code::kDataLoss,
              where + "the file is damaged (" + text + "); stop the daemon and restore a backup"};
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return {Code::kPermissionDenied,
              where + "not writable (" + text +
                  "); check the owner and mode of the file and its folder"};
    case SQLITE_CANTOPEN:
      return {Code::kPermissionDenied,
              where + "cannot be opened (" +
                  (system_error != 0 ? std::strerror(system_error) : text) +
                  "); check that its folder exists and is writable"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Code::kUnavailable, where + "locked by another program", PALYRA_ERROR_RETRYABLE};
    case SQLITE_IOERR:
      return {Code::kUnavailable, where + "I/O error " + std::to_string(extended) + " (" +
                                      (system_error != 0 ? std::strerror(system_error) : text) +
                                      ")"};
    case SQLITE_NOMEM:
      return {Code::kResourceExhausted, where + "out of memory"};
    default:
      return {Code::kInternal, where + text + " (SQLite error " + std::to_string(extended) + ")"};
  }
}

}  // namespace

Statement::Statement(sqlite3* db, const char* sql) {
  sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement::Statement(Statement&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(statement_, other.statement_);
  return *this;
}

Statement& Statement::bind(int at, int64_t value) {
  sqlite3_bind_int64(statement_, at, value);
  return *this;
}

Statement& Statement::bind_text(int at, std::string_view value) {
  sqlite3_bind_text64(statement_, at, value.data() == nullptr ? "" : value.data(), value.size(),
                      SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind_blob(int at, std::string_view value) {
  sqlite3_bind_blob64(statement_, at, value.data() == nullptr ? "" : value.data(), value.size(),
                      SQLITE_STATIC);
  return *this;
}

int Statement::step() {
  if (statement_ == nullptr) return SQLITE_ERROR;
  const int code = sqlite3_step(statement_);
  if (code != SQLITE_ROW) sqlite3_reset(statement_);
  return code;
}

void Statement::reset() { sqlite3_reset(statement_); }

int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string_view Statement::bytes(int column) const {
  const auto* const data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  return data == nullptr ? std::string_view() : std::string_view(data, static_cast<size_t>(size));
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path, bool create,
                                                 const char* vfs) {
  if (create) {
    // SQLite would let others read it; its other files get the same mode.
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) ::close(fd);
  }
  // Nobody asks SQLite for its use of memory, and counting takes a lock at each allocation. Too
  // late, and no harm, if this process has used SQLite before.
  [[maybe_unused]] static const int uncounted = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  sqlite3* db = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                    (create ? SQLITE_OPEN_CREATE : 0);
  const int code = sqlite3_open_v2(path.c_str(), &db, flags, vfs != nullptr ? vfs : log_vfs());
  std::unique_ptr<Database> database(new Database(path, db));
  if (code != SQLITE_OK) return database->status(code);
  sqlite3_extended_result_codes(db, 1);
  return database;
}

Database::~Database() { sqlite3_close_v2(db_); }

Status Database::execute(const char* sql) {
  return status(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr));
}

Result<int64_t> Database::number(const char* sql) {
  Statement statement = prepare(sql);
  const int code = statement.step();
  if (code == SQLITE_ROW) return statement.integer(0);
  if (code == SQLITE_DONE) return int64_t{0};
  return status(code);
}

Status Database::status(int code) const {
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return {};
  const int system_error = (code & 0xFF) == SQLITE_IOERR || (code & 0xFF) == SQLITE_CANTOPEN
                               ? sqlite3_system_errno(db_)
                               : 0;
  return map_error(path_, code & 0xFF, code, system_error,
                   db_ != nullptr ? sqlite3_errmsg(db_) : sqlite3_errstr(code));
}

}  // namespace palyra::journal::sqlite
