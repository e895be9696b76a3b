#include "plugins/journal/sqlite/reader.h"

#include "plugins/journal/chain_check.h"
#include "plugins/journal/request_check.h"
#include "plugins/journal/sqlite/segment_rows.h"

#include <sqlite3.h>

#include <algorithm>
#include <utility>

namespace palyra::journal::sqlite {
namespace {

#define RECORD_COLUMNS                                                                         \
  "r.seq, r.position, r.type, r.wall_time_ns, r.payload_digest, r.prev_hash, r.hash, p.salt, " \
  "p.data "
#define RECORD_TABLES "FROM record r LEFT JOIN payload p ON p.position=r.position "

// Holds a statement's rows until the end of the scope.
class Rows {
 public:
  explicit Rows(Statement& statement) : statement_(statement) {}
  ~Rows() { statement_.reset(); }

 private:
  Statement& statement_;
};

// All that is read in its scope is of one state of the store.
class Snapshot {
 public:
  explicit Snapshot(Database& db) : db_(db) { (void)db_.execute("BEGIN"); }
  ~Snapshot() { (void)db_.execute("COMMIT"); }
  Snapshot(const Snapshot&) = delete;

 private:
  Database& db_;
};

// The smallest string that is greater than all with this prefix; empty = none.
std::string after_prefix(std::string prefix) {
  while (!prefix.empty() && static_cast<uint8_t>(prefix.back()) == 0xFF) prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(static_cast<uint8_t>(prefix.back()) + 1);
  return prefix;
}

// SQL and what is bound to it, in order.
struct Sql {
  std::string text;
  std::vector<std::string> blobs;

  void add(const char* condition, std::string value) {
    text += condition;
    blobs.push_back(std::move(value));
  }
};

Sql by_key(const QueryPlan& plan) {
  Sql sql;
  sql.text = "SELECT d.key, d.value, d.version, x'' FROM document d WHERE d.collection=?1";
  if (!plan.from.empty()) sql.add(" AND d.key>=?", plan.from);
  if (!plan.to.empty()) sql.add(" AND d.key<?", plan.to);
  if (plan.after) sql.add(plan.descending ? " AND d.key<?" : " AND d.key>?", plan.after->key);
  sql.text += plan.descending ? " ORDER BY d.key DESC" : " ORDER BY d.key";
  return sql;
}

Sql by_index(const QueryPlan& plan) {
  Sql sql;
  sql.text =
      "SELECT d.key, d.value, d.version, e.value FROM index_entry e JOIN document d ON "
      "d.id=e.document WHERE e.index_id=" +
      std::to_string(plan.index_id) + " AND ?1=?1";
  if (!plan.from.empty()) sql.add(" AND e.value>=?", plan.from);
  if (!plan.to.empty()) sql.add(" AND e.value<?", plan.to);
  if (plan.after) {
    sql.add(plan.descending ? " AND (e.value,e.key)<(?" : " AND (e.value,e.key)>(?",
            plan.after->value);
    sql.add(",?)", plan.after->key);
  }
  sql.text += plan.descending ? " ORDER BY e.value DESC, e.key DESC" : " ORDER BY e.value, e.key";
  return sql;
}

// The first exact word (or the first at all) gives the candidates, the others are looked up for
// each.
Sql by_text(const QueryPlan& plan) {
  std::vector<QueryWord> words = plan.words;
  std::stable_partition(words.begin(), words.end(),
                        [](const QueryWord& word) { return !word.prefix; });
  const std::string id = std::to_string(plan.index_id);
  Sql sql;
  const auto match = [&](const char* table, const QueryWord& word) {
    const std::string value = std::string(table) + ".value";
    if (!word.prefix) return sql.add((value + "=?").c_str(), word.word);
    sql.add((value + ">=?").c_str(), word.word);
    if (std::string end = after_prefix(word.word); !end.empty()) {
      sql.add((" AND " + value + "<?").c_str(), std::move(end));
    }
  };
  sql.text =
      "SELECT d.key, d.value, d.version, x'' FROM index_entry e JOIN document d ON d.id=e.document "
      "WHERE ?1=?1 AND e.index_id=" +
      id + " AND ";
  match("e", words.front());
  for (size_t i = 1; i < words.size(); ++i) {
    sql.text +=
        " AND EXISTS(SELECT 1 FROM index_entry o WHERE o.index_id=" + id + " AND o.key=e.key AND ";
    match("o", words[i]);
    sql.text += ")";
  }
  if (plan.after) sql.add(plan.descending ? " AND e.key<?" : " AND e.key>?", plan.after->key);
  sql.text +=
      plan.descending ? " GROUP BY e.key ORDER BY e.key DESC" : " GROUP BY e.key ORDER BY e.key";
  return sql;
}

}  // namespace

Reader::Reader(std::unique_ptr<Database> db, Archive& archive)
    : db_(std::move(db)),
      archive_(archive),
      find_stream_(db_->prepare("SELECT id FROM stream WHERE name=?")),
      head_(db_->prepare("SELECT max(seq) FROM record WHERE stream=?")),
      forward_(db_->prepare("SELECT " RECORD_COLUMNS RECORD_TABLES
                            "WHERE r.stream=? AND r.seq>=? ORDER BY r.seq LIMIT ?")),
      backward_(db_->prepare("SELECT " RECORD_COLUMNS RECORD_TABLES
                             "WHERE r.stream=? AND r.seq<=? ORDER BY r.seq DESC LIMIT ?")),
      before_(db_->prepare("SELECT hash FROM record WHERE stream=? AND seq=?")),
      segments_(db_->prepare(kFindSegments)),
      get_(db_->prepare("SELECT value, version FROM document WHERE collection=? AND key=?")),
      blob_(db_->prepare("SELECT upload, size FROM blob WHERE digest=?")),
      parts_(db_->prepare("SELECT start, data FROM blob_part WHERE upload=?1 AND start>=(SELECT "
                          "coalesce(max(start),0) FROM blob_part WHERE upload=?1 AND start<=?2) "
                          "AND start<?3 ORDER BY start")),
      scan_(db_->prepare("SELECT " RECORD_COLUMNS ", s.name " RECORD_TABLES
                         "JOIN stream s ON s.id=r.stream WHERE r.position>=? ORDER BY r.position "
                         "LIMIT 4096")) {}

void Reader::fill(v1::Record& record, const Statement& row) {
  const auto set = [&row](std::string* out, int column) {
    const std::string_view bytes = row.bytes(column);
    out->assign(bytes.data() == nullptr ? "" : bytes.data(), bytes.size());
  };
  record.set_seq(row.unsigned_integer(0));
  record.set_position(row.unsigned_integer(1));
  set(record.mutable_type(), 2);
  record.set_wall_time_ns(row.integer(3));
  set(record.mutable_payload_digest(), 4);
  set(record.mutable_prev_hash(), 5);
  set(record.mutable_hash(), 6);
  if (row.is_null(7)) {
    record.set_erased(true);
    return;
  }
  set(record.mutable_salt(), 7);
  set(record.mutable_payload(), 8);
}

Result<int64_t> Reader::stream_id(const std::string& stream) {
  const Rows rows(find_stream_);
  const int code = find_stream_.bind_text(1, stream).step();
  if (code == SQLITE_DONE) return int64_t{0};
  if (code != SQLITE_ROW) return db_->status(code);
  return find_stream_.integer(0);
}

Status Reader::add_rows(const v1::ReadRequest& request, int64_t stream, uint64_t from,
                        PageFill& page, v1::ReadResponse& response) {
  Statement& rows = request.descending() ? backward_ : forward_;
  int code = 0;
  const Rows scope(rows);
  rows.bind(1, stream).bind(2, from).bind(3, std::max<int64_t>(page.left(), 0));
  while ((code = rows.step()) == SQLITE_ROW) {
    if (!page.room(rows.bytes(8).size())) return {};
    v1::Record& record = *response.add_records();
    record.set_stream(request.stream());
    fill(record, rows);
  }
  return db_->status(code);
}

Status Reader::set_head(int64_t stream, uint64_t& head_seq) {
  const Rows scope(head_);
  const int code = head_.bind(1, stream).step();
  if (code != SQLITE_ROW) return db_->status(code);
  head_seq = head_.unsigned_integer(0);
  return {};
}

Result<v1::ReadResponse> Reader::read(const v1::ReadRequest& request) {
  v1::ReadResponse response;
  const Result<int64_t> id = stream_id(request.stream());
  if (!id.ok()) return id.status();
  if (*id == 0) return response;
  uint64_t from = std::min<uint64_t>(request.from_seq(), INT64_MAX);
  if (from == 0) from = request.descending() ? INT64_MAX : 1;
  PageFill page(request, response);
  Status status = add_rows(request, *id, from, page, response);
  uint64_t head_seq = 0;
  // The head is asked for after the rows: it is never older than they are.
  if (status.ok()) status = set_head(*id, head_seq);
  if (!status.ok()) return status;
  response.set_head_seq(head_seq);
  // What is archived is the beginning of the stream, so rows are missing there or nowhere.
  const int count = response.records_size();
  const bool gap =
      request.descending()
          ? (count == 0 || response.records(count - 1).seq() > 1) && page.left() > 0 && !page.full()
          : from <= head_seq && (count == 0 || response.records(0).seq() != from);
  if (!gap) return response;
  // A file that was rewritten between looking at the rows and opening it is there under another
  // name.
  for (int round = 0; round < 3; ++round) {
    response.Clear();
    status = read_archived(request, *id, response);
    if (status.code() != Code::kNotFound) break;
  }
  if (!status.ok()) return status;
  return response;
}

Status Reader::read_archived(const v1::ReadRequest& request, int64_t stream,
                             v1::ReadResponse& response) {
  const Snapshot snapshot(*db_);
  const Result<std::vector<SegmentRow>> segments = segments_of(*db_, segments_, stream);
  if (!segments.ok()) return segments.status();
  uint64_t head_seq = 0;
  if (Status status = set_head(stream, head_seq); !status.ok()) return status;
  response.set_head_seq(head_seq);
  const std::function<Status(PageFill&, uint64_t)> rows = [&](PageFill& page, uint64_t from) {
    return add_rows(request, stream, std::min<uint64_t>(from, INT64_MAX), page, response);
  };
  return read_with_archive(request, *segments, archive_, response, rows);
}

Result<Reader::NextSegment> Reader::next_segment(const v1::ArchiveRequest& request) {
  const Snapshot snapshot(*db_);
  const Result<Archived> found = archived_of(request.stream());
  if (!found.ok()) return found.status();
  NextSegment next{SegmentSource(request, found->head_seq,
                                 found->segments.empty() ? 0 : found->segments.back().last_seq),
                   found->head_seq};
  const Result<int64_t> id = stream_id(request.stream());
  if (!id.ok()) return id.status();
  const auto wanted =
      static_cast<int64_t>(next.source.up_to() + 1) - static_cast<int64_t>(next.source.next());
  const Rows scope(forward_);
  forward_.bind(1, *id).bind(2, next.source.next()).bind(3, std::max<int64_t>(wanted, 0));
  int code = 0;
  while ((code = forward_.step()) == SQLITE_ROW) {
    v1::Record record;
    fill(record, forward_);
    if (record.seq() != next.source.next()) {
      return Status(Code::kDataLoss, "record " + std::to_string(next.source.next()) + " of " +
                                         request.stream() +
                                         " is missing; the stream is not archived");
    }
    if (!next.source.add(record)) return next;
  }
  if (code != SQLITE_DONE) return db_->status(code);
  return next;
}

Result<Reader::Archived> Reader::archived(const std::string& stream) {
  const Snapshot snapshot(*db_);
  return archived_of(stream);
}

Result<Reader::Archived> Reader::archived_of(const std::string& stream) {
  const Result<int64_t> id = stream_id(stream);
  if (!id.ok()) return id.status();
  if (*id == 0) return Status(Code::kNotFound, "there is no stream " + stream);
  Archived out;
  auto segments = segments_of(*db_, segments_, *id);
  if (!segments.ok()) return segments.status();
  out.segments = std::move(*segments);
  if (Status status = set_head(*id, out.head_seq); !status.ok()) return status;
  return out;
}

Result<std::vector<std::string>> Reader::digests(const char* sql) {
  std::vector<std::string> out;
  Statement rows = db_->prepare(sql);
  int code = 0;
  while ((code = rows.step()) == SQLITE_ROW) out.emplace_back(rows.bytes(0));
  if (code != SQLITE_DONE) return db_->status(code);
  return out;
}

Result<v1::GetResponse> Reader::get(const v1::GetRequest& request) {
  v1::GetResponse response;
  const Rows scope(get_);
  const int code = get_.bind_text(1, request.collection()).bind_blob(2, request.key()).step();
  if (code == SQLITE_DONE) return response;
  if (code != SQLITE_ROW) return db_->status(code);
  v1::Document& document = *response.mutable_document();
  document.set_key(request.key());
  document.set_value(std::string(get_.bytes(0)));
  document.set_version(get_.unsigned_integer(1));
  return response;
}

Result<v1::QueryResponse> Reader::query(const QueryPlan& plan) {
  Sql sql = plan.by == QueryPlan::By::kKey     ? by_key(plan)
            : plan.by == QueryPlan::By::kIndex ? by_index(plan)
                                               : by_text(plan);
  sql.text += " LIMIT " + std::to_string(plan.limit + 1);
  Statement rows = db_->prepare(sql.text.c_str());
  rows.bind_text(1, plan.collection);
  for (size_t i = 0; i < sql.blobs.size(); ++i) {
    rows.bind_blob(static_cast<int>(i) + 2, sql.blobs[i]);
  }
  v1::QueryResponse response;
  Place last;
  size_t bytes = 0;
  int code = 0;
  while ((code = rows.step()) == SQLITE_ROW) {
    if (response.documents_size() == static_cast<int>(plan.limit) || bytes >= kMaxQueryBytes) {
      response.set_next_cursor(encode_cursor(last));
      return response;
    }
    v1::Document& document = *response.add_documents();
    document.set_key(std::string(rows.bytes(0)));
    document.set_value(std::string(rows.bytes(1)));
    bytes += document.value().size();
    document.set_version(rows.unsigned_integer(2));
    last = {std::string(rows.bytes(3)), document.key()};
  }
  if (code != SQLITE_DONE) return db_->status(code);
  return response;
}

Result<v1::GetBlobResponse> Reader::get_blob(const v1::GetBlobRequest& request) {
  int64_t upload = 0;
  v1::GetBlobResponse response;
  {
    const Rows scope(blob_);
    const int code = blob_.bind_blob(1, request.digest()).step();
    if (code == SQLITE_DONE) {
      return Status(Code::kNotFound, "no blob " + digest::to_hex(request.digest()));
    }
    if (code != SQLITE_ROW) return db_->status(code);
    upload = blob_.integer(0);
    response.set_size(blob_.unsigned_integer(1));
  }
  const uint64_t first = request.offset();
  if (first >= response.size()) return response;
  const uint64_t limit = request.limit() == 0 ? kMaxBlobPart : request.limit();
  const uint64_t end = first + std::min(limit, response.size() - first);
  const Rows scope(parts_);
  int code = 0;
  parts_.bind(1, upload).bind(2, first).bind(3, end);
  while ((code = parts_.step()) == SQLITE_ROW) {
    const uint64_t start = parts_.unsigned_integer(0);
    std::string_view part = parts_.bytes(1);
    const uint64_t skip = start < first ? first - start : 0;
    if (skip >= part.size()) continue;
    part.remove_prefix(skip);
    part = part.substr(0, end - std::max(start, first));
    response.mutable_data()->append(part);
  }
  if (code != SQLITE_DONE) return db_->status(code);
  if (response.data().size() != end - first) {
    return Status(Code::kDataLoss, "blob " + digest::to_hex(request.digest()) +
                                       ": parts are missing; restore a backup");
  }
  return response;
}

Result<v1::VerifyResponse> Reader::verify(const v1::VerifyRequest& request) {
  const uint64_t first = std::max<uint64_t>(request.from_seq(), 1);
  const Snapshot snapshot(*db_);
  const Result<int64_t> id = stream_id(request.stream());
  if (!id.ok()) return id.status();
  const auto segments = segments_of(*db_, segments_, *id);
  if (!segments.ok()) return segments.status();
  std::string before(digest::view(kNoHash));
  int code = 0;
  if (first > 1) {
    const Rows scope(before_);
    code = before_.bind(1, *id).bind(2, first - 1).step();
    if (code == SQLITE_ROW) before = before_.bytes(0);
    if (code != SQLITE_ROW && code != SQLITE_DONE) return db_->status(code);
    if (code == SQLITE_DONE) {
      const std::string hash = archived_hash(request.stream(), first - 1, *segments, archive_);
      if (!hash.empty()) before = hash;
    }
  }
  ChainCheck check(request.stream(), first, std::move(before));
  const uint64_t stored = check_archived(check, request.stream(), first, *segments, archive_);
  const Rows scope(forward_);
  forward_.bind(1, *id).bind(2, stored).bind(3, int64_t{-1});
  while ((code = forward_.step()) == SQLITE_ROW) {
    v1::Record record;
    fill(record, forward_);
    if (!check.add(record)) return check.result();
  }
  if (code != SQLITE_DONE) return db_->status(code);
  return check.result();
}

Result<WatchPage> Reader::scan(uint64_t from, const std::string& prefix) {
  WatchPage page;
  page.next = from;
  size_t bytes = 0;
  const Rows scope(scan_);
  int code = 0;
  scan_.bind(1, from);
  while ((code = scan_.step()) == SQLITE_ROW) {
    const std::string_view stream = scan_.bytes(9);
    if (stream.substr(0, prefix.size()) == prefix) {
      const int count = page.item.records_size();
      bytes += scan_.bytes(8).size();
      if (count == static_cast<int>(kMaxWatchRecords) || (count > 0 && bytes > kMaxWatchBytes)) {
        return page;
      }
      v1::Record& record = *page.item.add_records();
      record.set_stream(std::string(stream));
      fill(record, scan_);
    }
    page.next = scan_.unsigned_integer(1) + 1;
  }
  if (code != SQLITE_DONE) return db_->status(code);
  return page;
}

Status Reader::look_at(BlobScan& scan, const char* sql) {
  Statement rows = db_->prepare(sql);
  int code = 0;
  while ((code = rows.step()) == SQLITE_ROW) scan.look_at(rows.bytes(0));
  return db_->status(code);
}

Result<std::vector<std::string>> Reader::unnamed_blobs(int64_t newest) {
  std::vector<std::string> old;
  Statement blobs = db_->prepare("SELECT digest FROM blob WHERE created_wall_ns<=?");
  blobs.bind(1, newest);
  int code = 0;
  while ((code = blobs.step()) == SQLITE_ROW) old.emplace_back(blobs.bytes(0));
  if (code != SQLITE_DONE) return db_->status(code);
  if (old.empty()) return old;
  BlobScan scan(old);
  Status status = look_at(scan, "SELECT data FROM payload WHERE length(data)>=32");
  if (status.ok()) status = look_at(scan, "SELECT value FROM document WHERE length(value)>=32");
  if (status.ok()) status = look_at(scan, "SELECT DISTINCT digest FROM segment_blob");
  if (!status.ok()) return status;
  return scan.unnamed();
}

}  // namespace palyra::journal::sqlite
