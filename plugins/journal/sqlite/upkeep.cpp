// Archiving, erasing, sweeping and vacuuming beside the writer. What is long (reading, packing,
// syncing files) happens on the thread of upkeep; the writer gets short commits.
#include "plugins/journal/request_check.h"
#include "plugins/journal/sqlite/schema.h"
#include "plugins/journal/sqlite/store_write.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace palyra::journal {

using sqlite::Reader;

namespace {

// A stream that goes on while it is archived or erased is tried again.
constexpr int kRounds = 8;
constexpr size_t kSweepAtOnce = 64;
constexpr char kAllBlobs[] = "SELECT digest FROM blob";

bool went_on(const Status& status) { return status.code() == Code::kFailedPrecondition; }

// A row written without a result.
struct Written {};

}  // namespace

template <typename T, typename Fn>
void SqliteStore::keep_up(Done<T> done, Fn fn) {
  upkeep_->post([this, done = std::move(done), fn = std::move(fn)](Reader* reader) {
    done(reader != nullptr && !closing_ ? fn(*reader) : Result<T>(closing()));
  });
}

Status SqliteStore::put_file(const std::string& digest, const std::string& bytes) {
  // Noted first, so that a crash leaves no file that nobody knows of.
  const auto noted = write_now<Written>([this, digest](bool& wrote) -> Result<Written> {
    wrote = true;
    if (Status status = tables_.put_garbage(digest); !status.ok()) return status;
    return Written{};
  });
  return noted.ok() ? files_.write(segment_name(digest), bytes) : noted.status();
}

Status SqliteStore::remove_garbage(Reader& reader) {
  const auto garbage = reader.digests("SELECT digest FROM segment_garbage");
  if (!garbage.ok()) return garbage.status();
  for (const std::string& digest : *garbage) {
    if (Status status = files_.remove(segment_name(digest)); !status.ok()) return status;
    segments_.forget(digest);
    const auto forgotten = write_now<Written>([this, digest](bool& wrote) -> Result<Written> {
      wrote = true;
      if (Status status = tables_.remove_garbage(digest); !status.ok()) return status;
      return Written{};
    });
    if (!forgotten.ok()) return forgotten.status();
  }
  return {};
}

void SqliteStore::archive(v1::ArchiveRequest request, Done<v1::ArchiveResponse> done) {
  keep_up(std::move(done), [this, request = std::move(request)](Reader& reader) {
    return archive_now(reader, request);
  });
}

Result<v1::ArchiveResponse> SqliteStore::archive_now(Reader& reader,
                                                     const v1::ArchiveRequest& request) {
  if (Status status = check(request); !status.ok()) return status;
  for (int round = 0;; ++round) {
    const Result<Reader::NextSegment> next = reader.next_segment(request);
    if (!next.ok()) return next.status();
    const Segment& records = next->source.records();
    v1::ArchiveResponse response = next->source.response();
    if (records.empty()) return response;
    if (Status sound = check_before_archiving(request.stream(), records); !sound.ok()) return sound;
    const Result<std::string> file = encode_segment(records);
    if (!file.ok()) return file.status();
    SegmentRow row = describe_segment(records, *file);
    const auto blobs = reader.digests(kAllBlobs);
    if (!blobs.ok()) return blobs.status();
    row.blobs = named_blobs(records, *blobs);
    Status status = put_file(row.digest, *file);
    if (status.ok()) {
      auto commit = write_now<v1::CommitResponse>(
          [this, stream = request.stream(), row, head = next->head_seq](bool& wrote) {
            return applier_.archive(tables_, stream, row, head, wrote);
          });
      if (commit.ok()) {
        response.set_file_bytes(row.file_bytes);
        *response.mutable_commit() = std::move(*commit);
        return response;
      }
      status = commit.status();
    }
    (void)remove_garbage(reader);
    if (!went_on(status) || round >= kRounds) return status;
  }
}

void SqliteStore::erase(EraseRequest request, Done<v1::CommitResponse> done) {
  keep_up(std::move(done), [this, request = std::move(request)](Reader& reader) {
    return erase_now(reader, request);
  });
}

Result<v1::CommitResponse> SqliteStore::erase_now(Reader& reader, EraseRequest request) {
  const bool to_head = request.last_seq == 0;
  for (int round = 0;; ++round) {
    const auto found = reader.archived(request.stream);
    if (!found.ok()) return found.status();
    if (to_head) request.last_seq = found->head_seq;
    std::vector<SegmentChange> changes;
    Status status;
    for (const SegmentRow& row : found->segments) {
      if (row.last_seq < request.first_seq || row.first_seq > request.last_seq) continue;
      const auto blobs = reader.digests(kAllBlobs);
      if (!blobs.ok()) return blobs.status();
      const auto rewritten = rewrite_without(request.stream, row, request.first_seq,
                                             request.last_seq, *blobs, segments_);
      status = rewritten.status();
      if (!status.ok()) break;
      for (const Rewritten& each : *rewritten) {
        status = put_file(each.after.digest, each.file);
        changes.push_back({each.before, each.after});
      }
      if (!status.ok()) break;
    }
    if (status.ok()) {
      auto commit = write_now<v1::CommitResponse>(
          [this, request, changes, head = found->head_seq](bool& wrote) {
            return applier_.erase(tables_, request, changes, head, wrote);
          });
      if (commit.ok()) {
        if (!changes.empty()) status = remove_garbage(reader);
        if (!status.ok()) return status;
        return commit;
      }
      status = commit.status();
    }
    if (!changes.empty()) (void)remove_garbage(reader);
    if (!went_on(status) || round >= kRounds) return status;
  }
}

void SqliteStore::sweep_blobs(int64_t min_age_ns, Done<uint64_t> done) {
  keep_up(std::move(done),
          [this, min_age_ns](Reader& reader) { return sweep_now(reader, min_age_ns); });
}

Result<uint64_t> SqliteStore::sweep_now(Reader& reader, int64_t min_age_ns) {
  const int64_t newest = clock_.wall_now() - min_age_ns;
  const Result<std::vector<std::string>> unnamed = reader.unnamed_blobs(newest);
  if (!unnamed.ok()) return unnamed.status();
  uint64_t count = 0;
  for (size_t at = 0; at < unnamed->size(); at += kSweepAtOnce) {
    const auto first = unnamed->begin() + static_cast<std::ptrdiff_t>(at);
    const auto size = static_cast<std::ptrdiff_t>(std::min(kSweepAtOnce, unnamed->size() - at));
    // A blob that was asked for meanwhile is young again and stays.
    const auto removed =
        write_now<uint64_t>([this, newest, part = std::vector<std::string>(first, first + size)](
                                bool& wrote) -> Result<uint64_t> {
          wrote = true;
          uint64_t gone = 0;
          for (const std::string& digest : part) {
            const Result<bool> one = tables_.remove_blob(digest, newest);
            if (!one.ok()) return one.status();
            gone += *one ? 1 : 0;
          }
          return gone;
        });
    if (!removed.ok()) return removed.status();
    count += *removed;
  }
  return count;
}

Status SqliteStore::clear_log() {
  // Readers of this process hold a state for milliseconds; a backup holds one for as long as it
  // takes.
  constexpr int kAttempts = 25;
  constexpr std::chrono::milliseconds kPause{20};
  for (int attempt = 1;; ++attempt) {
    const auto promise = std::make_shared<std::promise<Status>>();
    std::future<Status> cleared = promise->get_future();
    {
      const std::lock_guard lock(shared_mutex_);
      log_cleared_ = promise;
    }
    clear_log_due_ = true;
    queue_.nudge();
    const Status status = cleared.get();
    if (status.code() != Code::kUnavailable || attempt == kAttempts || closing_) return status;
    std::this_thread::sleep_for(kPause);
  }
}

// On the writer's thread.
void SqliteStore::clear_log_if_due() {
  if (!clear_log_due_.exchange(false)) return;
  std::shared_ptr<std::promise<Status>> asked;
  {
    const std::lock_guard lock(shared_mutex_);
    asked = std::move(log_cleared_);
  }
  asked->set_value(checkpointer_->clear(*db_, options_.path));
}

void SqliteStore::maintain(v1::MaintainRequest request, Done<v1::MaintainResponse> done) {
  keep_up(std::move(done), [this, request = std::move(request)](Reader& reader) {
    return maintain_now(reader, request);
  });
}

Result<v1::MaintainResponse> SqliteStore::maintain_now(Reader& reader,
                                                       const v1::MaintainRequest& request) {
  Status status = check(request);
  if (status.ok()) status = remove_garbage(reader);
  if (!status.ok()) return status;
  v1::MaintainResponse response;
  if (request.sweep_blobs()) {
    const Result<uint64_t> swept = sweep_now(reader, min_age_ns(request));
    if (!swept.ok()) return swept.status();
    response.set_swept_blobs(*swept);
  }
  const auto number = [&reader, &status](const char* sql) {
    const Result<int64_t> value = reader.number(sql);
    if (!value.ok()) status = value.status();
    return value.ok() ? static_cast<uint64_t>(*value) : 0;
  };
  response.set_incremental(number("PRAGMA auto_vacuum") == 2);
  const uint64_t before = number("PRAGMA freelist_count");
  if (request.vacuum_pages() > 0 && response.incremental() && before > 0) {
    const std::string sql =
        "PRAGMA incremental_vacuum(" + std::to_string(request.vacuum_pages()) + ")";
    const auto vacuumed = write_now<Written>([this, sql](bool& wrote) -> Result<Written> {
      wrote = true;
      if (Status done = db_->execute(sql.c_str()); !done.ok()) return done;
      return Written{};
    });
    if (!vacuumed.ok()) return vacuumed.status();
    const uint64_t after = number("PRAGMA freelist_count");
    response.set_vacuumed_pages(before - std::min(before, after));
  }
  if (request.clear_log() && status.ok()) status = clear_log();
  if (!status.ok()) return status;
  response.set_page_size(sqlite::kPageSize);
  response.set_pages(number("PRAGMA page_count"));
  response.set_free_pages(number("PRAGMA freelist_count"));
  response.set_archived_segments(number("SELECT count(*) FROM segment"));
  response.set_archived_records(number("SELECT sum(last_seq - first_seq + 1) FROM segment"));
  response.set_archive_bytes(number("SELECT sum(file_bytes) FROM segment"));
  response.set_archive_location(files_.location());
  response.set_max_bytes(options_.max_bytes);
  response.set_min_free_bytes(options_.min_free_bytes);
  if (!status.ok()) return status;
  return response;
}

}  // namespace palyra::journal
