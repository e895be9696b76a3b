#include "plugins/journal/sqlite/tables.h"

#include <sqlite3.h>

#include <algorithm>
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
      find_document_(db.prepare("SELECT id, version FROM document WHERE collection=? AND key=?")),
      add_document_(
          db.prepare("INSERT INTO document(collection, key, version, value) VALUES(?, ?, ?, ?)")),
      change_document_(db.prepare("UPDATE document SET version=?, value=? WHERE id=?")),
      remove_document_(db.prepare("DELETE FROM document WHERE id=?")),
      find_value_(db.prepare("SELECT key FROM index_entry WHERE index_id=? AND value=?")),
      add_entry_(db.prepare("INSERT INTO index_entry VALUES(?, ?, ?, ?)")),
      list_entries_(db.prepare("SELECT index_id, value FROM index_entry WHERE document=?")),
      remove_entry_(db.prepare("DELETE FROM index_entry WHERE index_id=? AND value=? AND key=?")),
      remove_entries_(db.prepare("DELETE FROM index_entry WHERE document=?")),
      find_lease_(db.prepare("SELECT token, owner, expires_wall_ns FROM lease WHERE name=?")),
      put_lease_(db.prepare("INSERT OR REPLACE INTO lease VALUES(?, ?, ?, ?)")),
      erase_(db.prepare("DELETE FROM payload WHERE position IN (SELECT position FROM record WHERE "
                        "stream=? AND seq BETWEEN ? AND ? AND type<>'erased')")),
      find_blob_(db.prepare("SELECT created_wall_ns FROM blob WHERE digest=?")),
      touch_blob_(db.prepare("UPDATE blob SET created_wall_ns=? WHERE digest=?")),
      add_part_(db.prepare("INSERT INTO blob_part VALUES(?, ?, ?)")),
      add_blob_(db.prepare("INSERT INTO blob VALUES(?, ?, ?, ?)")),
      drop_parts_(db.prepare("DELETE FROM blob_part WHERE upload=?")),
      remove_blob_(
          db.prepare("DELETE FROM blob WHERE digest=? AND created_wall_ns<=? RETURNING upload")),
      begin_upload_(db.prepare("INSERT INTO upload VALUES(?)")),
      end_upload_(db.prepare("DELETE FROM upload WHERE id=?")) {}

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

Result<uint64_t> SqliteTables::version(const std::string& collection, const std::string& key) {
  const int code = find_document_.bind_text(1, collection).bind_blob(2, key).step();
  if (code == SQLITE_DONE) return uint64_t{0};
  if (code != SQLITE_ROW) return db_.status(code);
  const uint64_t version = find_document_.unsigned_integer(1);
  find_document_.reset();
  return version;
}

Result<int64_t> SqliteTables::document_id(const std::string& collection, const std::string& key) {
  const int code = find_document_.bind_text(1, collection).bind_blob(2, key).step();
  if (code == SQLITE_DONE) return int64_t{0};
  if (code != SQLITE_ROW) return db_.status(code);
  const int64_t id = find_document_.integer(0);
  find_document_.reset();
  return id;
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

Result<std::set<std::pair<int64_t, std::string>>> SqliteTables::entries_of(int64_t document) {
  std::set<std::pair<int64_t, std::string>> entries;
  int code = list_entries_.bind(1, document).step();
  for (; code == SQLITE_ROW; code = list_entries_.step()) {
    entries.emplace(list_entries_.integer(0), std::string(list_entries_.bytes(1)));
  }
  if (code != SQLITE_DONE) return db_.status(code);
  return entries;
}

Status SqliteTables::put(const std::string& collection, const std::string& key,
                         std::string_view value, uint64_t version,
                         const std::vector<IndexEntry>& entries) {
  const Result<int64_t> found = document_id(collection, key);
  if (!found.ok()) return found.status();
  int64_t id = *found;
  Status status;
  // Entries that stay are left alone: each one written dirties two pages.
  std::set<std::pair<int64_t, std::string>> stored;
  if (id == 0) {
    add_document_.bind_text(1, collection).bind_blob(2, key).bind(3, version).bind_blob(4, value);
    status = run(add_document_);
    id = sqlite3_last_insert_rowid(db_.raw());
  } else {
    status = run(change_document_.bind(1, version).bind_blob(2, value).bind(3, id));
    if (!status.ok()) return status;
    auto before = entries_of(id);
    if (!before.ok()) return before.status();
    stored = std::move(*before);
  }
  std::vector<const IndexEntry*> added;
  for (const IndexEntry& entry : entries) {
    if (stored.erase({entry.index_id, entry.value}) == 0) added.push_back(&entry);
  }
  for (const auto& [index_id, old] : stored) {
    status = run(remove_entry_.bind(1, index_id).bind_blob(2, old).bind_blob(3, key));
    if (!status.ok()) return status;
  }
  for (const IndexEntry* each : added) {
    const IndexEntry& entry = *each;
    if (!status.ok()) return status;
    add_entry_.bind(1, entry.index_id).bind_blob(2, entry.value).bind_blob(3, key).bind(4, id);
    status = run(add_entry_);
  }
  return status;
}

Status SqliteTables::remove(const std::string& collection, const std::string& key) {
  const Result<int64_t> id = document_id(collection, key);
  if (!id.ok()) return id.status();
  if (*id == 0) return {};
  Status status = run(remove_entries_.bind(1, *id));
  return status.ok() ? run(remove_document_.bind(1, *id)) : status;
}

Result<LeaseRow> SqliteTables::lease(const std::string& name) {
  LeaseRow lease;
  const int code = find_lease_.bind_text(1, name).step();
  if (code == SQLITE_DONE) return lease;
  if (code != SQLITE_ROW) return db_.status(code);
  lease.token = find_lease_.unsigned_integer(0);
  lease.owner = find_lease_.bytes(1);
  lease.expires_wall_ns = find_lease_.integer(2);
  find_lease_.reset();
  return lease;
}

Status SqliteTables::put_lease(const std::string& name, const LeaseRow& lease) {
  put_lease_.bind_text(1, name).bind(2, lease.token).bind_text(3, lease.owner);
  return run(put_lease_.bind(4, lease.expires_wall_ns));
}

Status SqliteTables::erase(const std::string& stream, uint64_t first_seq, uint64_t last_seq) {
  const Result<StreamHead> found = head(stream);
  if (!found.ok()) return found.status();
  // The freed bytes are overwritten, not only forgotten.
  Status status = db_.execute("PRAGMA secure_delete=ON");
  if (status.ok()) status = run(erase_.bind(1, found->id).bind(2, first_seq).bind(3, last_seq));
  (void)db_.execute("PRAGMA secure_delete=OFF");
  return status;
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
