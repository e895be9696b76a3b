#include "plugins/journal/sqlite/full_check.h"

#include "plugins/common/digest/digest.h"
#include "plugins/journal/record_hash.h"
#include "plugins/journal/sqlite/audit_reader.h"
#include "plugins/journal/sqlite/reader.h"

#include <sqlite3.h>

#include <utility>
#include <vector>

namespace palyra::journal::sqlite {
namespace {

// Virtual machine steps between two looks at `pace` while the pages are checked: some milliseconds.
constexpr int kProgressSteps = 1'000'000;

Status stopped() { return {Code::kCancelled, "the check was stopped"}; }

class FullCheck {
 public:
  FullCheck(std::unique_ptr<Database> db, const CheckOptions& options)
      : db_(*db), options_(options), reader_(std::move(db), archive_) {}

  Result<CheckResult> run() {
    const Result<int64_t> position = db_.number("SELECT max(position) FROM record");
    if (!position.ok()) return damage_or(position.status());
    result_.position = static_cast<uint64_t>(*position);
    Status status = pages();
    if (status.ok() && result_.damage.empty()) status = chains();
    if (status.ok() && result_.damage.empty()) status = blobs();
    if (!status.ok()) return damage_or(status);
    return result_;
  }

 private:
  bool go_on(bool may_sleep = true) {
    return !options_.pace || options_.pace(result_.records, result_.position, may_sleep);
  }

  // What SQLite cannot read is damage, too.
  Result<CheckResult> damage_or(const Status& status) {
    if (status.code() != Code::kDataLoss) return status;
    result_.damage = status.message();
    return result_;
  }

  Status pages() {
    sqlite3_progress_handler(
        db_.raw(), kProgressSteps,
        [](void* self) { return static_cast<FullCheck*>(self)->go_on(false) ? 0 : 1; }, this);
    Statement rows =
        db_.prepare(options_.thorough ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)");
    const int code = rows.step();
    std::string verdict;
    if (code == SQLITE_ROW) verdict = rows.bytes(0);
    rows.reset();
    sqlite3_progress_handler(db_.raw(), 0, nullptr, nullptr);
    if ((code & 0xFF) == SQLITE_INTERRUPT) return stopped();
    if (code != SQLITE_ROW) return db_.status(code);
    if (verdict != "ok") result_.damage = "the database file is damaged: " + verdict;
    return {};
  }

  Status chains() {
    const Result<int64_t> streams = db_.number("SELECT count(*) FROM stream");
    if (!streams.ok()) return streams.status();
    result_.streams = static_cast<uint64_t>(*streams);
    AuditReader audit(db_, archive_);
    v1::VerifyStoreRequest request;
    request.set_up_to(result_.position);
    uint64_t absent = 0;
    uint64_t archived = 0;
    do {
      const auto page = audit.verify(request, result_.position);
      if (!page.ok()) return page.status();
      result_.records += page->records();
      result_.erased += page->erased();
      absent += page->absent();
      archived += page->archived();
      if (page->bad() > 0) {
        const v1::BadRecord& bad = page->first_bad(0);
        result_.damage = bad.stream().empty() ? bad.reason()
                                              : "record " + std::to_string(bad.seq()) + " of " +
                                                    bad.stream() + ": " + bad.reason();
        return {};
      }
      if (!go_on()) return stopped();
      request.set_from_position(page->next_position());
    } while (request.from_position() != 0);
    if (absent > archived) {
      result_.damage = std::to_string(absent - archived) + " records are missing";
    }
    return {};
  }

  Status blobs() {
    std::vector<std::string> digests;
    {
      Statement rows = db_.prepare("SELECT digest FROM blob");
      int code = 0;
      while ((code = rows.step()) == SQLITE_ROW) digests.emplace_back(rows.bytes(0));
      if (code != SQLITE_DONE) return db_.status(code);
    }
    for (const std::string& name : digests) {
      digest::Sha256 sha256;
      v1::GetBlobRequest request;
      request.set_digest(name);
      uint64_t size = 0;
      do {
        const auto part = reader_.get_blob(request);
        if (part.status().code() == Code::kNotFound) break;  // swept meanwhile
        if (!part.ok()) return part.status();
        sha256.update(part->data());
        size = part->size();
        request.set_offset(request.offset() + part->data().size());
        if (!go_on()) return stopped();
      } while (request.offset() < size);
      ++result_.blobs;
      if (sha256.finish() != name && request.offset() == size && size > 0) {
        result_.damage = "blob " + digest::to_hex(name) + ": content does not match its digest";
        return {};
      }
    }
    return {};
  }

  Database& db_;
  const CheckOptions& options_;
  // Files of archived segments are no part of this: a stream's own verification opens them.
  MemorySegmentFiles no_files_;
  Archive archive_{no_files_};
  Reader reader_;
  CheckResult result_;
};

}  // namespace

Result<CheckResult> check_store(std::unique_ptr<Database> db, const CheckOptions& options) {
  return FullCheck(std::move(db), options).run();
}

Status check_newest(Database& db, uint64_t count, uint64_t bytes) {
  Statement rows = db.prepare(
      "SELECT r.seq, r.type, r.wall_time_ns, r.payload_digest, r.prev_hash, r.hash, p.salt, "
      "p.data, s.name, coalesce((SELECT b.hash FROM record b WHERE b.stream=r.stream AND "
      "b.seq=r.seq-1), (SELECT g.last_hash FROM segment g WHERE g.stream=r.stream AND "
      "g.last_seq=r.seq-1)) "
      "FROM record r LEFT JOIN payload p ON p.position=r.position JOIN stream s ON s.id=r.stream "
      "ORDER BY r.position DESC LIMIT ?");
  rows.bind(1, count);
  RecordHasher hasher;
  int code = 0;
  for (uint64_t looked = 0; looked <= bytes && (code = rows.step()) == SQLITE_ROW;) {
    looked += rows.bytes(7).size();
    const std::string stream(rows.bytes(8));
    const uint64_t seq = rows.unsigned_integer(0);
    const auto damaged = [&](const char* what) {
      return Status(Code::kDataLoss,
                    "record " + std::to_string(seq) + " of " + stream + ": " + what);
    };
    const std::string_view before = seq == 1 ? digest::view(kNoHash) : rows.bytes(9);
    // An erased payload is judged by the full check, which sees who erased it.
    if (!rows.is_null(6) &&
        digest::view(hasher.payload_digest(rows.bytes(6), rows.bytes(7))) != rows.bytes(3)) {
      return damaged("payload does not match its digest");
    }
    const std::string prev_hash(rows.bytes(4));
    if (prev_hash != before) return damaged("does not follow the record before");
    const Hash hash = hasher.record_hash({.stream = stream,
                                          .seq = seq,
                                          .prev_hash = prev_hash,
                                          .type = rows.bytes(1),
                                          .wall_time_ns = rows.integer(2),
                                          .payload_digest = rows.bytes(3)});
    if (digest::view(hash) != rows.bytes(5)) return damaged("hash mismatch");
  }
  rows.reset();
  return db.status(code);
}

}  // namespace palyra::journal::sqlite
