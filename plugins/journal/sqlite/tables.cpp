#include "plugins/journal/sqlite/tables.h"

#include "plugins/journal/sqlite/index_entries.h"

#include <sqlite3.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

namespace palyra::journal::sqlite {
namespace {

// A blob that is asked for again within this time is not written again.
constexpr int64_t kTouchAfterNs = 3600 * kNanosPerSecond;

}  // namespace

const StreamHead* HeadCache::find(const std::string& stream) {
  if (const auto found = young_.find(stream); found != young_.end()) return &found->second;
  const auto found = old_.find(stream);
  if (found == old_.end()) return nullptr;
  put(stream, found->second);
  return &young_.find(stream)->second;
}

void HeadCache::put(std::string_view stream, const StreamHead& head) {
  std::string name(stream);
  if (const auto found = young_.find(name); found != young_.end()) {
    found->second = head;
    return;
  }
  const StreamHead copy = head;
  if (young_.size() >= capacity_) old_ = std::exchange(young_, {});
  young_.emplace(std::move(name), copy);
}

void HeadCache::clear() {
  young_.clear();
  old_.clear();
}

SqliteTables::SqliteTables(Database& db)
    : db_(db),
      find_stream_(db.prepare("SELECT id FROM stream WHERE name=?")),
      last_record_(
          db.prepare("SELECT seq, hash FROM record WHERE stream=? ORDER BY seq DESC LIMIT 1")),
      add_stream_(db.prepare("INSERT INTO stream(name) VALUES(?)")),
      add_record_(db.prepare("INSERT INTO record VALUES(?, ?, ?, ?, ?, ?, ?, ?)")),
      add_payload_(db.prepare("INSERT INTO payload VALUES(?, ?, ?)")),
      find_document_(
          db.prepare("SELECT id, version, entries FROM document WHERE collection=? AND key=?")),
      add_document_(db.prepare(
          "INSERT INTO document(collection, key, version, entries, value) VALUES(?, ?, ?, ?, ?)")),
      change_document_(db.prepare("UPDATE document SET version=?, entries=?, value=? WHERE id=?")),
      remove_document_(db.prepare("DELETE FROM document WHERE id=?")),
      find_value_(db.prepare("SELECT key FROM index_entry WHERE index_id=? AND value=?")),
      add_entry_(db.prepare("INSERT INTO index_entry VALUES(?, ?, ?, ?)")),
      remove_entry_(db.prepare("DELETE FROM index_entry WHERE index_id=? AND value=? AND key=?")),
      find_lease_(db.prepare("SELECT token, owner, expires_wall_ns FROM lease WHERE name=?")),
      put_lease_(db.prepare("INSERT OR REPLACE INTO lease VALUES(?, ?, ?, ?)")),
      erase_(db.prepare(
          "DELETE FROM payload WHERE position IN (SELECT position FROM record WHERE "
          "stream=? AND seq BETWEEN ? AND ? AND type NOT IN ('erased','segment_closed'))")),
      find_blob_(db.prepare("SELECT created_wall_ns FROM blob WHERE digest=?")),
      touch_blob_(db.prepare("UPDATE blob SET created_wall_ns=? WHERE digest=?")),
      add_part_(db.prepare("INSERT INTO blob_part VALUES(?, ?, ?)")),
      add_blob_(db.prepare("INSERT INTO blob VALUES(?, ?, ?, ?)")),
      drop_parts_(db.prepare("DELETE FROM blob_part WHERE upload=?")),
      remove_blob_(
          db.prepare("DELETE FROM blob WHERE digest=? AND created_wall_ns<=? RETURNING upload")),
      begin_upload_(db.prepare("INSERT INTO upload VALUES(?)")),
      end_upload_(db.prepare("DELETE FROM upload WHERE id=?")),
      drop_payloads_(db.prepare("DELETE FROM payload WHERE position IN (SELECT position FROM "
                                "record WHERE stream=? AND seq BETWEEN ? AND ?)")),
      drop_records_(db.prepare("DELETE FROM record WHERE stream=? AND seq BETWEEN ? AND ?")),
      put_segment_(db.prepare("INSERT OR REPLACE INTO segment VALUES(?, ?, ?, ?, ?, ?, ?)")),
      drop_segment_blobs_(db.prepare("DELETE FROM segment_blob WHERE stream=? AND first_seq=?")),
      add_segment_blob_(db.prepare("INSERT INTO segment_blob VALUES(?, ?, ?)")),
      put_garbage_(db.prepare("INSERT OR REPLACE INTO segment_garbage VALUES(?)")),
      remove_garbage_(db.prepare("DELETE FROM segment_garbage WHERE digest=?")) {}

Result<StreamHead> SqliteTables::head(const std::string& stream) {
  if (const StreamHead* const cached = heads_.find(stream)) return *cached;
  StreamHead head;
  int code = find_stream_.bind_text(1, stream).step();
  if (code == SQLITE_DONE) return head;
  if (code != SQLITE_ROW) return db_.status(code);
  head.id = find_stream_.integer(0);
  find_stream_.reset();
  code = last_record_.bind(1, head.id).step();
  if (code == SQLITE_ROW) {
    head.seq = last_record_.unsigned_integer(0);
    const std::string_view hash = last_record_.bytes(1);
    if (hash.size() == head.hash.size()) std::copy(hash.begin(), hash.end(), head.hash.begin());
    last_record_.reset();
  } else if (code != SQLITE_DONE) {
    return db_.status(code);
  }
  heads_.put(stream, head);
  return head;
}

Status SqliteTables::append(StreamHead& head, const RecordRow& row) {
  if (head.id == 0) {
    if (Status status = run(add_stream_.bind_text(1, row.stream)); !status.ok()) return status;
    head.id = sqlite3_last_insert_rowid(db_.raw());
  }
  add_record_.bind(1, row.position).bind(2, head.id).bind(3, row.seq).bind_text(4, row.type);
  add_record_.bind(5, row.wall_time_ns).bind_blob(6, row.payload_digest);
  add_record_.bind_blob(7, row.prev_hash).bind_blob(8, row.hash);
  Status status = run(add_record_);
  if (!status.ok()) return status;
  status = run(add_payload_.bind(1, row.position).bind_blob(2, row.salt).bind_blob(3, row.payload));
  if (status.ok()) heads_.put(row.stream, head);
  return status;
}

void SqliteTables::begin() { known_count_ = known_next_ = 0; }

Result<SqliteTables::Stored*> SqliteTables::look_up(const std::string& collection,
                                                    const std::string& key) {
  if (known_count_ == known_.size()) known_.emplace_back();
  Stored& stored = known_[known_count_];
  const int code = find_document_.bind_text(1, collection).bind_blob(2, key).step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) return db_.status(code);
  stored.collection = collection;
  stored.key = key;
  stored.id = 0;
  stored.version = 0;
  stored.entries.clear();
  if (code == SQLITE_ROW) {
    stored.id = find_document_.integer(0);
    stored.version = find_document_.unsigned_integer(1);
    stored.entries = find_document_.bytes(2);
    find_document_.reset();
  }
  ++known_count_;
  return &stored;
}

Result<SqliteTables::Stored*> SqliteTables::known(const std::string& collection,
                                                  const std::string& key) {
  // Usually they are changed in the order in which they were asked for.
  for (size_t i = 0; i < known_count_; ++i) {
    if (known_next_ >= known_count_) known_next_ = 0;
    Stored& stored = known_[known_next_++];
    if (stored.key == key && stored.collection == collection) return &stored;
  }
  return look_up(collection, key);
}

Result<uint64_t> SqliteTables::version(const std::string& collection, const std::string& key) {
  const Result<Stored*> stored = look_up(collection, key);
  if (!stored.ok()) return stored.status();
  return (*stored)->version;
}

Result<std::optional<std::string>> SqliteTables::unique_owner(int64_t index_id,
                                                              const std::string& value) {
  const int code = find_value_.bind(1, index_id).bind_blob(2, value).step();
  if (code == SQLITE_DONE) return std::optional<std::string>();
  if (code != SQLITE_ROW) return db_.status(code);
  std::optional<std::string> key(find_value_.bytes(0));
  find_value_.reset();
  return key;
}

Status SqliteTables::remove_entry(const IndexEntry& entry, const std::string& key) {
  remove_entry_.bind(1, entry.index_id).bind_blob(2, entry.value).bind_blob(3, key);
  return run(remove_entry_);
}

Status SqliteTables::put(const std::string& collection, const std::string& key,
                         std::string_view value, uint64_t version,
                         std::span<const IndexEntry> entries) {
  const Result<Stored*> known_row = known(collection, key);
  if (!known_row.ok()) return known_row.status();
  Stored& stored = **known_row;
  pack_entries(entries, packed_);
  Status status;
  if (stored.id == 0) {
    add_document_.bind_text(1, collection).bind_blob(2, key).bind(3, version);
    status = run(add_document_.bind_blob(4, packed_).bind_blob(5, value));
    stored.id = sqlite3_last_insert_rowid(db_.raw());
  } else {
    change_document_.bind(1, version).bind_blob(2, packed_).bind_blob(3, value);
    status = run(change_document_.bind(4, stored.id));
  }
  if (!status.ok() || stored.entries == packed_) return status;
  // Both are sorted. Entries that stay are left alone: each one written dirties a page.
  PackedEntries before(stored.entries);
  std::optional<IndexEntry> old = before.next();
  const auto order = [](const IndexEntry& a, const IndexEntry& b) {
    return std::tie(a.index_id, a.value) < std::tie(b.index_id, b.value);
  };
  for (const IndexEntry& entry : entries) {
    for (; old && order(*old, entry); old = before.next()) {
      if (status = remove_entry(*old, key); !status.ok()) return status;
    }
    if (old && !order(entry, *old)) {
      old = before.next();
      continue;
    }
    add_entry_.bind(1, entry.index_id).bind_blob(2, entry.value).bind_blob(3, key);
    if (status = run(add_entry_.bind(4, stored.id)); !status.ok()) return status;
  }
  for (; old; old = before.next()) {
    if (status = remove_entry(*old, key); !status.ok()) return status;
  }
  return status;
}

Status SqliteTables::remove(const std::string& collection, const std::string& key) {
  const Result<Stored*> stored = known(collection, key);
  if (!stored.ok()) return stored.status();
  if ((*stored)->id == 0) return {};
  PackedEntries entries((*stored)->entries);
  while (const std::optional<IndexEntry> entry = entries.next()) {
    if (Status status = remove_entry(*entry, key); !status.ok()) return status;
  }
  return run(remove_document_.bind(1, (*stored)->id));
}

Result<LeaseRow> SqliteTables::lease(const std::string& name) {
  LeaseRow lease;
  const int code = find_lease_.bind_text(1, name).step();
  if (code == SQLITE_DONE) {
    const Result<uint64_t> floor = lease_floor();
    if (!floor.ok()) return floor.status();
    lease.token = *floor;
    return lease;
  }
  if (code != SQLITE_ROW) return db_.status(code);
  lease.token = find_lease_.unsigned_integer(0);
  lease.owner = find_lease_.bytes(1);
  lease.expires_wall_ns = find_lease_.integer(2);
  find_lease_.reset();
  return lease;
}

Result<uint64_t> SqliteTables::lease_floor() {
  if (lease_floor_) return *lease_floor_;
  const int code = find_lease_.bind_text(1, kLeaseFloorName).step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) return db_.status(code);
  lease_floor_ = code == SQLITE_ROW ? find_lease_.unsigned_integer(0) : 0;
  find_lease_.reset();
  return *lease_floor_;
}

Status SqliteTables::put_lease(const std::string& name, const LeaseRow& lease) {
  put_lease_.bind_text(1, name).bind(2, lease.token).bind_text(3, lease.owner);
  return run(put_lease_.bind(4, lease.expires_wall_ns));
}

Status SqliteTables::erase(const std::string& stream, uint64_t first_seq, uint64_t last_seq) {
  const Result<StreamHead> found = head(stream);
  if (!found.ok()) return found.status();
  return run(erase_.bind(1, found->id).bind(2, first_seq).bind(3, last_seq));
}

Result<std::vector<SegmentRow>> SqliteTables::segments(const std::string& stream) {
  const Result<StreamHead> found = head(stream);
  if (!found.ok()) return found.status();
  Statement find = db_.prepare(kFindSegments);
  return segments_of(db_, find, found->id);
}

Status SqliteTables::close_segment(const std::string& stream, const SegmentRow& row) {
  const Result<StreamHead> found = head(stream);
  if (!found.ok()) return found.status();
  for (Statement* const statement : {&drop_payloads_, &drop_records_}) {
    statement->bind(1, found->id).bind(2, row.first_seq).bind(3, row.last_seq);
    if (Status status = run(*statement); !status.ok()) return status;
  }
  return put_segment(found->id, row);
}

Status SqliteTables::replace_segment(const std::string& stream, const SegmentRow& row) {
  const Result<StreamHead> found = head(stream);
  return found.ok() ? put_segment(found->id, row) : found.status();
}

Status SqliteTables::put_segment(int64_t stream, const SegmentRow& row) {
  put_segment_.bind(1, stream).bind(2, row.first_seq).bind(3, row.last_seq);
  put_segment_.bind_blob(4, row.prev_hash).bind_blob(5, row.last_hash);
  Status status = run(put_segment_.bind_blob(6, row.digest).bind(7, row.file_bytes));
  if (status.ok()) status = run(drop_segment_blobs_.bind(1, stream).bind(2, row.first_seq));
  for (const std::string& digest : row.blobs) {
    if (!status.ok()) break;
    add_segment_blob_.bind(1, stream).bind(2, row.first_seq).bind_blob(3, digest);
    status = run(add_segment_blob_);
  }
  return status;
}

Status SqliteTables::put_garbage(const std::string& digest) {
  return run(put_garbage_.bind_blob(1, digest));
}

Status SqliteTables::remove_garbage(const std::string& digest) {
  return run(remove_garbage_.bind_blob(1, digest));
}

Result<bool> SqliteTables::touch_blob(const std::string& digest, int64_t now) {
  const int code = find_blob_.bind_blob(1, digest).step();
  if (code == SQLITE_DONE) return false;
  if (code != SQLITE_ROW) return db_.status(code);
  const int64_t created = find_blob_.integer(0);
  find_blob_.reset();
  if (now - created < kTouchAfterNs) return true;
  if (Status status = run(touch_blob_.bind(1, now).bind_blob(2, digest)); !status.ok()) {
    return status;
  }
  return true;
}

Status SqliteTables::put_part(uint64_t upload, uint64_t start, std::string_view data) {
  return run(add_part_.bind(1, upload).bind(2, start).bind_blob(3, data));
}

Status SqliteTables::put_blob(const std::string& digest, uint64_t upload, uint64_t size,
                              int64_t now) {
  return run(add_blob_.bind_blob(1, digest).bind(2, upload).bind(3, size).bind(4, now));
}

Status SqliteTables::drop_parts(uint64_t upload) { return run(drop_parts_.bind(1, upload)); }

Result<bool> SqliteTables::remove_blob(const std::string& digest, int64_t newest) {
  const int code = remove_blob_.bind_blob(1, digest).bind(2, newest).step();
  if (code == SQLITE_DONE) return false;
  if (code != SQLITE_ROW) return db_.status(code);
  const uint64_t upload = remove_blob_.unsigned_integer(0);
  remove_blob_.reset();
  if (Status status = drop_parts(upload); !status.ok()) return status;
  return true;
}

}  // namespace palyra::journal::sqlite
