#include "plugins/journal/sqlite/schema.h"

#include "plugins/journal/sqlite/files.h"
#include "plugins/journal/sqlite/index_entries.h"
#include "plugins/journal/sqlite/snapshot.h"

#include <sqlite3.h>

#include <algorithm>
#include <iterator>
#include <map>

namespace palyra::journal::sqlite {
namespace {

// Payloads lie apart from the records, so that they can be erased and the chain stays.
constexpr char kVersion1[] = R"(
CREATE TABLE stream(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE record(
  position INTEGER PRIMARY KEY,
  stream INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  type TEXT NOT NULL,
  wall_time_ns INTEGER NOT NULL,
  payload_digest BLOB NOT NULL,
  prev_hash BLOB NOT NULL,
  hash BLOB NOT NULL);
CREATE UNIQUE INDEX record_by_stream ON record(stream, seq);
CREATE TABLE payload(position INTEGER PRIMARY KEY, salt BLOB NOT NULL, data BLOB NOT NULL);
CREATE TABLE document(
  id INTEGER PRIMARY KEY,
  collection TEXT NOT NULL,
  key BLOB NOT NULL,
  version INTEGER NOT NULL,
  value BLOB NOT NULL,
  UNIQUE(collection, key));
CREATE TABLE index_entry(
  index_id INTEGER NOT NULL,
  value BLOB NOT NULL,
  key BLOB NOT NULL,
  document INTEGER NOT NULL,
  PRIMARY KEY(index_id, value, key)) WITHOUT ROWID;
CREATE INDEX index_entry_by_document ON index_entry(document);
CREATE TABLE collection(name TEXT PRIMARY KEY, audited INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE collection_index(
  id INTEGER PRIMARY KEY,
  collection TEXT NOT NULL,
  name TEXT NOT NULL,
  kind INTEGER NOT NULL,
  UNIQUE(collection, name));
CREATE TABLE lease(
  name TEXT PRIMARY KEY,
  token INTEGER NOT NULL,
  owner TEXT NOT NULL,
  expires_wall_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE blob(
  digest BLOB PRIMARY KEY,
  upload INTEGER NOT NULL,
  size INTEGER NOT NULL,
  created_wall_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE blob_part(upload INTEGER NOT NULL, start INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY(upload, start));
CREATE TABLE upload(id INTEGER PRIMARY KEY);
)";

// A document's index entries lie beside it, which spares an index of them by document: one B-tree
// less to write for every document that changes.
constexpr char kVersion2[] = R"(
CREATE TABLE document_2(
  id INTEGER PRIMARY KEY,
  collection TEXT NOT NULL,
  key BLOB NOT NULL,
  version INTEGER NOT NULL,
  entries BLOB NOT NULL,
  value BLOB NOT NULL,
  UNIQUE(collection, key));
INSERT INTO document_2
  SELECT d.id, d.collection, d.key, d.version,
    (SELECT pack_entries(index_id, value) FROM
      (SELECT index_id, value FROM index_entry WHERE document=d.id ORDER BY index_id, value)),
    d.value
  FROM document d;
DROP TABLE document;
ALTER TABLE document_2 RENAME TO document;
DROP INDEX index_entry_by_document;
)";

// The archive: `segment` names the records that a file has, `segment_blob` the blobs that its
// payloads name, `segment_garbage` files that are to be removed.
constexpr char kVersion3[] = R"(
CREATE TABLE segment(
  stream INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  prev_hash BLOB NOT NULL,
  last_hash BLOB NOT NULL,
  digest BLOB NOT NULL,
  file_bytes INTEGER NOT NULL,
  PRIMARY KEY(stream, first_seq)) WITHOUT ROWID;
CREATE TABLE segment_blob(stream INTEGER NOT NULL, first_seq INTEGER NOT NULL, digest BLOB NOT NULL,
  PRIMARY KEY(stream, first_seq, digest)) WITHOUT ROWID;
CREATE TABLE segment_garbage(digest BLOB PRIMARY KEY) WITHOUT ROWID;
)";

// Migration i brings a file from version i to i + 1. Released ones never change.
constexpr const char* kMigrations[] = {kVersion1, kVersion2, kVersion3};
static_assert(std::size(kMigrations) == kSchemaVersion);

}  // namespace

Status configure(Database& db, bool writer) {
  // No mmap: a truncated file must be an error, not a signal.
  Status status = db.execute(
      "PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;"
      "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA foreign_keys=OFF;");
  if (status.ok()) {
    // Checkpoints are made apart from commits, so that none of them pays for one.
    // Freed bytes are overwritten: of what was erased nothing stays, wherever it has been moved
    // from before.
    status = db.execute(writer ? "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-16384;"
                                 "PRAGMA secure_delete=ON;"
                               : "PRAGMA query_only=1; PRAGMA cache_size=-4096;");
  }
  sqlite3_busy_timeout(db.raw(), kBusyTimeoutMs);
  return status;
}

namespace {

// What a migration that fails, or that somebody regrets, goes back to: `path`.before-vN, or with a
// number behind that if another store's copy has the name.
Status keep_as_it_was(const std::string& path, int64_t version) {
  // The copy, and as much again for what the migration writes.
  const std::string name = path + ".before-v" + std::to_string(kSchemaVersion);
  const uint64_t size = files::size(path) + files::size(path + "-wal");
  Status status =
      files::check_room(name, size * 2 + (1 << 20),
                        "bringing " + path + " from schema " + std::to_string(version) + " to " +
                            std::to_string(kSchemaVersion) + ", with a copy before,");
  if (!status.ok()) return status;
  const std::string unfinished = name + ".unfinished";
  status = files::remove(unfinished);
  if (!status.ok()) return status;
  status = copy_snapshot(path, unfinished).status();
  if (!status.ok()) return status;
  std::string kept = name;
  for (int number = 2; files::exists(kept); ++number) {
    const Result<files::Digest> there = files::digest(kept);
    const Result<files::Digest> copied = files::digest(unfinished);
    if (!there.ok()) return there.status();
    if (!copied.ok()) return copied.status();
    if (there->sha256 == copied->sha256) return files::remove(unfinished);
    kept = name + "-" + std::to_string(number);
  }
  return files::rename(unfinished, kept);
}

}  // namespace

Status prepare_schema(Database& db, const std::string& path) {
  Result<int64_t> version = db.number("PRAGMA user_version");
  if (!version.ok()) return version.status();
  const Result<int64_t> application = db.number("PRAGMA application_id");
  if (!application.ok()) return application.status();
  const Result<int64_t> tables = db.number("SELECT count(*) FROM sqlite_schema");
  if (!tables.ok()) return tables.status();
  if (*tables > 0 && *application != kApplicationId) {
    return {Code::kFailedPrecondition, "journal " + path +
                                           ": this is another program's database; set "
                                           "[storage] path to a file of Palyra's own"};
  }
  if (*version > kSchemaVersion) {
    return {Code::kFailedPrecondition, "journal " + path + ": written by a newer version (schema " +
                                           std::to_string(*version) + ", this program knows " +
                                           std::to_string(kSchemaVersion) +
                                           "); upgrade Palyra or restore an older backup"};
  }
  if (*tables == 0) {
    // Free pages can be given back without rewriting the file; only before the first table.
    if (Status status = db.execute("PRAGMA auto_vacuum=INCREMENTAL"); !status.ok()) return status;
  }
  if (Status status = db.execute("PRAGMA journal_mode=WAL"); !status.ok()) return status;
  if (*version > 0 && *version < kSchemaVersion) {
    if (Status status = keep_as_it_was(path, *version); !status.ok()) return status;
  }
  add_pack_function(db.raw());
  for (int64_t from = *version; from < kSchemaVersion; ++from) {
    Status status = db.execute("BEGIN IMMEDIATE");
    if (status.ok()) status = db.execute(kMigrations[from]);
    const std::string stamp = "PRAGMA user_version=" + std::to_string(from + 1) +
                              "; PRAGMA application_id=" + std::to_string(kApplicationId);
    if (status.ok()) status = db.execute(stamp.c_str());
    if (status.ok()) status = db.execute("COMMIT");
    if (!status.ok()) {
      (void)db.execute("ROLLBACK");
      return status;
    }
  }
  return {};
}

namespace {

// What there is, as "table record", and the text that made it. SQLite's own is left out.
Result<std::map<std::string, std::string>> objects_of(Database& db) {
  std::map<std::string, std::string> objects;
  Statement rows = db.prepare(
      "SELECT type||' '||name, tbl_name||': '||coalesce(sql, '') FROM sqlite_schema WHERE name NOT "
      "LIKE 'sqlite\\_%' ESCAPE '\\'");
  int code = 0;
  while ((code = rows.step()) == SQLITE_ROW) {
    std::string text(rows.bytes(1));
    // A table that was renamed is quoted or not, as the version of SQLite has it.
    text.erase(std::remove(text.begin(), text.end(), '"'), text.end());
    objects.emplace(rows.bytes(0), std::move(text));
  }
  if (code != SQLITE_DONE) return db.status(code);
  return objects;
}

Result<std::map<std::string, std::string>> fresh_objects() {
  auto fresh = Database::open(":memory:", false);
  if (!fresh.ok()) return fresh.status();
  add_pack_function((*fresh)->raw());
  for (const char* migration : kMigrations) {
    if (Status status = (*fresh)->execute(migration); !status.ok()) return status;
  }
  return objects_of(**fresh);
}

}  // namespace

Result<std::string> altered_schema(Database& db) {
  static const Result<std::map<std::string, std::string>> fresh = fresh_objects();
  if (!fresh.ok()) return fresh.status();
  const auto found = objects_of(db);
  if (!found.ok()) return found.status();
  const std::string altered = "the schema was altered: the ";
  for (const auto& [name, text] : *fresh) {
    const auto same = found->find(name);
    if (same == found->end()) return altered + name + " is missing";
    if (same->second != text) return altered + name + " is not as the journal makes it";
  }
  for (const auto& [name, text] : *found) {
    if (fresh->count(name) == 0) return altered + name + " is not the journal's";
  }
  return std::string();
}

Result<Catalogue> load_catalogue(Database& db) {
  Catalogue catalogue;
  int code = 0;
  Statement collections = db.prepare("SELECT name, audited FROM collection");
  while ((code = collections.step()) == SQLITE_ROW) {
    catalogue.restore_collection(std::string(collections.bytes(0)), collections.integer(1) != 0);
  }
  if (code != SQLITE_DONE) return db.status(code);
  Statement indexes = db.prepare("SELECT id, collection, name, kind FROM collection_index");
  while ((code = indexes.step()) == SQLITE_ROW) {
    catalogue.restore_index(std::string(indexes.bytes(1)), std::string(indexes.bytes(2)),
                            {indexes.integer(0), static_cast<v1::IndexKind>(indexes.integer(3))});
  }
  if (code != SQLITE_DONE) return db.status(code);
  return catalogue;
}

Status store_change(Database& db, const v1::DeclareRequest& request, const Catalogue& after,
                    const Catalogue::Change& change) {
  Statement collection =
      db.prepare("INSERT OR REPLACE INTO collection(name, audited) VALUES(?, ?)");
  collection.bind_text(1, request.collection());
  collection.bind(2, int64_t{after.find(request.collection()).audited ? 1 : 0});
  if (Status status = db.status(collection.step()); !status.ok()) return status;
  Statement index =
      db.prepare("INSERT INTO collection_index(id, collection, name, kind) VALUES(?, ?, ?, ?)");
  for (const auto& [name, declared] : change.fresh) {
    index.bind(1, declared.id).bind_text(2, request.collection()).bind_text(3, name);
    index.bind(4, int64_t{declared.kind});
    if (Status status = db.status(index.step()); !status.ok()) return status;
  }
  return {};
}

}  // namespace palyra::journal::sqlite
