#include "plugins/journal/sqlite/audit_reader.h"

#include "plugins/journal/request_check.h"
#include "plugins/journal/sqlite/read_ahead.h"
#include "plugins/journal/sqlite/schema.h"
#include "plugins/journal/sqlite/segment_rows.h"

#include <sqlite3.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace palyra::journal::sqlite {
namespace {

// Holds a statement's rows until the end of the scope.
class Rows {
 public:
  explicit Rows(Statement& statement) : statement_(statement) {}
  ~Rows() { statement_.reset(); }

 private:
  Statement& statement_;
};

std::string text(const Statement& row, int column) {
  const std::string_view bytes = row.bytes(column);
  return bytes.data() == nullptr ? std::string() : std::string(bytes);
}

// Valid until the function returns.
std::string_view bytes_of(sqlite3_value* value) {
  const auto* const data = static_cast<const char*>(sqlite3_value_blob(value));
  const int size = sqlite3_value_bytes(value);
  return data == nullptr ? std::string_view() : std::string_view(data, static_cast<size_t>(size));
}

// Columns take what is put into them: of two rows one may have the number 6 and one the text or the
// fraction that is read as 6.
bool integers(sqlite3_value** row) {
  return sqlite3_value_type(row[0]) == SQLITE_INTEGER &&
         sqlite3_value_type(row[1]) == SQLITE_INTEGER &&
         sqlite3_value_type(row[4]) == SQLITE_INTEGER;
}

uint64_t bounded(uint64_t up_to, uint64_t position) {
  return up_to == 0 ? position : std::min(up_to, position);
}

}  // namespace

AuditReader::AuditReader(Database& db, Archive& archive)
    : db_(with_check_row(db, this)),
      archive_(archive),
      name_(db.prepare("SELECT name FROM stream WHERE id=? AND typeof(name)='text'")),
      before_(db.prepare("SELECT seq, position, hash FROM record WHERE stream=? AND seq<=? AND "
                         "position<>? ORDER BY seq DESC LIMIT 1")),
      marks_(db.prepare("SELECT r.type, p.data FROM record r JOIN payload p ON "
                        "p.position=r.position WHERE r.stream=? AND r.type IN "
                        "('erased','segment_closed') ORDER BY r.seq")),
      hidden_(db.prepare("SELECT stream, seq, position FROM record WHERE position<1")),
      pass_(db.prepare("SELECT r.position FROM record r LEFT JOIN payload p ON "
                       "p.position=r.position WHERE r.position>=? AND r.position<=? AND "
                       "check_row(r.stream, r.seq, r.position, r.type, r.wall_time_ns, "
                       "r.payload_digest, r.prev_hash, r.hash, p.salt, p.data) "
                       "ORDER BY r.position")),
      window_(db.prepare("SELECT stream, seq, position, type, hash FROM record WHERE position>? "
                         "AND position<=? ORDER BY position")),
      at_(db.prepare("SELECT r.hash, r.position FROM record r JOIN stream s ON s.id=r.stream WHERE "
                     "s.name=? AND r.seq=?")),
      list_(db.prepare("SELECT id, name FROM stream WHERE name>? AND name>=? ORDER BY name")),
      last_(db.prepare("SELECT seq, wall_time_ns, position, hash FROM record WHERE stream=? AND "
                       "position<=? ORDER BY seq DESC LIMIT 1")),
      first_(db.prepare("SELECT seq FROM record WHERE stream=? ORDER BY seq LIMIT 1")) {}

Result<std::optional<std::string>> AuditReader::name(int64_t stream) {
  const Rows rows(name_);
  const int code = name_.bind(1, stream).step();
  if (code == SQLITE_DONE) return std::optional<std::string>();
  if (code != SQLITE_ROW) return db_.status(code);
  return std::optional<std::string>(text(name_, 0));
}

Result<std::optional<Places::Before>> AuditReader::before(int64_t stream, uint64_t seq,
                                                          uint64_t position) {
  const Rows rows(before_);
  const int code = before_.bind(1, stream).bind(2, seq).bind(3, position).step();
  if (code == SQLITE_DONE) return std::optional<Before>();
  if (code != SQLITE_ROW) return db_.status(code);
  Before found;
  found.seq = before_.unsigned_integer(0);
  found.position = before_.unsigned_integer(1);
  const std::string_view hash = before_.bytes(2);
  std::copy_n(hash.begin(), std::min(hash.size(), found.hash.size()), found.hash.begin());
  return std::optional<Before>(found);
}

Status AuditReader::marks(int64_t stream, const Mark& mark) {
  const Rows rows(marks_);
  int code = 0;
  marks_.bind(1, stream);
  while ((code = marks_.step()) == SQLITE_ROW) mark(marks_.bytes(0), marks_.bytes(1));
  return code == SQLITE_DONE ? Status() : db_.status(code);
}

Database& AuditReader::with_check_row(Database& db, AuditReader* self) {
  constexpr int kColumns = 10;
  sqlite3_create_function_v2(db.raw(), "check_row", kColumns, SQLITE_UTF8 | SQLITE_DIRECTONLY, self,
                             &check_row, nullptr, nullptr, nullptr);
  return db;
}

// A row of pass_: true ends the page there. As a condition, and not as what step() returns, the
// columns are looked at where they lie in the page; a result is copied column by column first, and
// costs more than to hash a small record.
void AuditReader::check_row(sqlite3_context* context, int, sqlite3_value** values) {
  AuditReader& self = *static_cast<AuditReader*>(sqlite3_user_data(context));
  const auto number = [values](int column) {
    return static_cast<uint64_t>(sqlite3_value_int64(values[column]));
  };
  const ScannedRow row{.stream = sqlite3_value_int64(values[0]),
                       .seq = number(1),
                       .position = number(2),
                       .type = bytes_of(values[3]),
                       .wall_time_ns = sqlite3_value_int64(values[4]),
                       .payload_digest = bytes_of(values[5]),
                       .prev_hash = bytes_of(values[6]),
                       .hash = bytes_of(values[7]),
                       .numbers = integers(values),
                       .has_payload = sqlite3_value_type(values[8]) != SQLITE_NULL,
                       .salt = bytes_of(values[8]),
                       .payload = bytes_of(values[9])};
  self.check_status_ = self.check_->add(row);
  sqlite3_result_int(context, !self.check_status_.ok() || self.check_->full());
}

// What no page would come to: the schema, and records before position 1, with which the journal's
// begin.
Status AuditReader::find_hidden(StoreCheck& check) {
  const Result<std::string> altered = altered_schema(db_);
  if (!altered.ok()) return altered.status();
  if (!altered->empty()) check.bad_store(*altered);
  const Rows rows(hidden_);
  int code = 0;
  while ((code = hidden_.step()) == SQLITE_ROW) {
    ScannedRow row;
    row.stream = hidden_.integer(0);
    row.seq = hidden_.unsigned_integer(1);
    if (Status status = check.add_hidden(row, hidden_.integer(2)); !status.ok()) return status;
  }
  return code == SQLITE_DONE ? Status() : db_.status(code);
}

Result<v1::VerifyStoreResponse> AuditReader::verify(const v1::VerifyStoreRequest& request,
                                                    uint64_t position) {
  v1::VerifyStoreResponse page;
  const uint64_t up_to = bounded(request.up_to(), position);
  const uint64_t from = std::max<uint64_t>(request.from_position(), 1);
  page.set_up_to(up_to);
  StoreCheck check(*this, from, page);
  const ReadAhead ahead(db_);
  check_ = &check;
  check_status_ = {};
  if (from == 1) {
    if (Status status = find_hidden(check); !status.ok()) return status;
  }
  const Rows rows(pass_);
  const int code = pass_.bind(1, std::min<uint64_t>(from, INT64_MAX)).bind(2, up_to).step();
  if (!check_status_.ok()) return check_status_;
  if (code == SQLITE_ROW) {
    const uint64_t last = pass_.unsigned_integer(0);
    if (last < up_to) page.set_next_position(last + 1);
    return page;
  }
  if (code != SQLITE_DONE) return db_.status(code);
  check.end(up_to);
  return page;
}

Status AuditReader::look_up(const v1::StreamSeq& at, v1::HeadsResponse& response) {
  const Rows rows(at_);
  const int code = at_.bind_text(1, at.stream()).bind(2, at.seq()).step();
  if (code == SQLITE_DONE) return look_up_archived(at, response);
  if (code != SQLITE_ROW) return db_.status(code);
  v1::Head& head = *response.add_heads();
  head.set_stream(at.stream());
  head.set_seq(at.seq());
  head.set_hash(text(at_, 0));
  head.set_position(at_.unsigned_integer(1));
  return {};
}

Status AuditReader::look_up_archived(const v1::StreamSeq& at, v1::HeadsResponse& response) {
  const Result<int64_t> id = [&]() -> Result<int64_t> {
    Statement find = db_.prepare("SELECT id FROM stream WHERE name=?");
    const int code = find.bind_text(1, at.stream()).step();
    if (code == SQLITE_ROW) return find.integer(0);
    if (code == SQLITE_DONE) return int64_t{0};
    return db_.status(code);
  }();
  if (!id.ok()) return id.status();
  Statement find = db_.prepare(kFindSegments);
  const auto segments = segments_of(db_, find, *id);
  if (!segments.ok()) return segments.status();
  std::shared_ptr<const Segment> holder;
  const v1::Record* const record =
      archived_record(at.stream(), at.seq(), *segments, archive_, holder);
  if (record == nullptr) return {};
  v1::Head& head = *response.add_heads();
  head.set_stream(at.stream());
  head.set_seq(at.seq());
  head.set_hash(record->hash());
  head.set_position(record->position());
  return {};
}

Result<v1::HeadsResponse> AuditReader::heads(const v1::HeadsRequest& request, uint64_t position) {
  v1::HeadsResponse response;
  const uint64_t up_to = bounded(request.up_to(), position);
  response.set_up_to(up_to);
  response.set_position(up_to);
  for (const v1::StreamSeq& at : request.at()) {
    if (Status status = look_up(at, response); !status.ok()) return status;
  }
  if (request.at_size() > 0) return response;
  HeadsWindow window(*this, request.limit() == 0 ? kDefaultHeads : request.limit());
  const Rows rows(window_);
  window_.bind(1, std::min<uint64_t>(request.since(), INT64_MAX)).bind(2, up_to);
  int code = 0;
  while ((code = window_.step()) == SQLITE_ROW) {
    ScannedRow row;
    row.stream = window_.integer(0);
    row.seq = window_.unsigned_integer(1);
    row.position = window_.unsigned_integer(2);
    row.type = window_.bytes(3);
    row.hash = window_.bytes(4);
    const Result<bool> taken = window.add(row);
    if (!taken.ok()) return taken.status();
    if (!*taken) {
      response.set_position(row.position - 1);
      break;
    }
  }
  if (code != SQLITE_DONE && code != SQLITE_ROW) return db_.status(code);
  window.finish(response);
  return response;
}

Result<v1::ListStreamsResponse> AuditReader::list(const v1::ListStreamsRequest& request,
                                                  uint64_t position) {
  v1::ListStreamsResponse response;
  const uint64_t up_to = bounded(request.up_to(), position);
  const uint32_t limit = request.limit() == 0 ? kDefaultHeads : request.limit();
  const Rows rows(list_);
  list_.bind_text(1, request.after()).bind_text(2, request.prefix());
  int code = 0;
  uint64_t looked_at = 0;
  for (uint32_t seen = 0; (code = list_.step()) == SQLITE_ROW; ++seen) {
    const std::string_view stream = list_.bytes(1);
    if (stream.substr(0, request.prefix().size()) != request.prefix()) break;
    if (seen == limit) return response;
    response.set_next_after(std::string(stream));
    const Rows scope(last_);
    const int found = last_.bind(1, list_.integer(0)).bind(2, up_to).step();
    if (found != SQLITE_DONE && found != SQLITE_ROW) return db_.status(found);
    std::vector<SegmentRow> segments;
    if (found == SQLITE_DONE || request.look_for_files()) {
      Statement find = db_.prepare(kFindSegments);
      auto rows_found = segments_of(db_, find, list_.integer(0));
      if (!rows_found.ok()) return rows_found.status();
      segments = std::move(*rows_found);
    }
    v1::StreamInfo info;
    info.set_stream(std::string(stream));
    if (found == SQLITE_ROW) {
      info.set_last_seq(last_.unsigned_integer(0));
      info.set_last_time_ns(last_.integer(1));
      info.set_last_position(last_.unsigned_integer(2));
      info.set_last_hash(text(last_, 3));
    } else if (!last_archived(info.stream(), up_to, segments, archive_, info)) {
      continue;
    }
    if (request.look_for_files()) {
      const Rows first(first_);
      const int any = first_.bind(1, list_.integer(0)).step();
      if (any != SQLITE_DONE && any != SQLITE_ROW) return db_.status(any);
      // Not what the table of segments says, which may have lost a row.
      info.set_archived_to(any == SQLITE_ROW ? first_.unsigned_integer(0) - 1 : info.last_seq());
      look_for_files(segments, archive_, info, looked_at);
    }
    *response.add_streams() = std::move(info);
    if (looked_at > kMaxLookedAt) return response;
  }
  if (code != SQLITE_DONE && code != SQLITE_ROW) return db_.status(code);
  response.clear_next_after();
  return response;
}

}  // namespace palyra::journal::sqlite
