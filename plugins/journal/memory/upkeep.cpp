// Archiving, erasing and sweeping in memory.
#include "plugins/journal/blob_scan.h"
#include "plugins/journal/memory/data.h"
#include "plugins/journal/memory/store.h"
#include "plugins/journal/request_check.h"

#include <algorithm>
#include <utility>

namespace palyra::journal {

void MemoryStore::upkeep(std::function<void()> begin) {
  upkeep_.push_back(std::move(begin));
  if (!std::exchange(upkeep_runs_, true)) next_upkeep();
}

void MemoryStore::next_upkeep() {
  post([this] {
    const std::function<void()> begin = std::move(upkeep_.front());
    begin();
  });
}

void MemoryStore::upkeep_done() {
  upkeep_.pop_front();
  upkeep_runs_ = !upkeep_.empty();
  if (upkeep_runs_) next_upkeep();
}

template <typename T>
Done<T> MemoryStore::ends_upkeep(Done<T> done) {
  return [this, done = std::move(done)](Result<T> result) {
    upkeep_done();
    done(std::move(result));
  };
}

bool MemoryStore::put_file(const SegmentRow& row, const std::string& bytes) {
  const uint64_t life = *life_;
  (void)data_->put_garbage(row.digest);
  (void)files_.write(segment_name(row.digest), bytes);
  if (hook_) hook_(Step::kFileWritten);
  return *life_ == life;
}

bool MemoryStore::remove_garbage() {
  const uint64_t life = *life_;
  if (!data_->garbage.empty() && hook_) hook_(Step::kBeforeFileRemoved);
  if (*life_ != life) return false;
  for (const std::string& digest : std::exchange(data_->garbage, {})) {
    (void)files_.remove(segment_name(digest));
    archive_.forget(digest);
  }
  return true;
}

void MemoryStore::archive(v1::ArchiveRequest request, Done<v1::ArchiveResponse> done) {
  upkeep([this, request = std::move(request), done = ends_upkeep(std::move(done))] {
    write_archive(request, done);
  });
}

void MemoryStore::write_archive(const v1::ArchiveRequest& request, Done<v1::ArchiveResponse> done) {
  if (Status status = check(request); !status.ok()) return done(status);
  const auto found = data_->streams.find(request.stream());
  if (found == data_->streams.end()) {
    return done(Status(Code::kNotFound, "there is no stream " + request.stream()));
  }
  const std::vector<v1::Record*>& stored = found->second;
  const std::vector<SegmentRow> segments = *data_->segments(request.stream());
  SegmentSource source(request, stored.size(), segments.empty() ? 0 : segments.back().last_seq);
  for (uint64_t seq = source.next(); seq <= source.up_to(); ++seq) {
    if (!source.add(*stored[seq - 1])) break;
  }
  if (source.records().empty()) return done(source.response());
  if (Status sound = check_before_archiving(request.stream(), source.records()); !sound.ok()) {
    return done(sound);
  }
  const Result<std::string> file = encode_segment(source.records());
  if (!file.ok()) return done(file.status());
  SegmentRow row = describe_segment(source.records(), *file);
  row.blobs = named_blobs(source.records(), data_->blob_digests());
  if (!put_file(row, *file)) return;
  v1::ArchiveResponse response = source.response();
  response.set_file_bytes(row.file_bytes);
  const uint64_t head = stored.size();
  Done<v1::ArchiveResponse> committed = [this, request, done](Result<v1::ArchiveResponse> result) {
    if (result.ok() || result.status().code() != Code::kFailedPrecondition) {
      return remove_garbage() ? done(std::move(result)) : void();
    }
    if (remove_garbage()) write_archive(request, done);
  };
  write(std::move(committed),
        [this, response, row, head, stream = request.stream()]() -> Result<v1::ArchiveResponse> {
          bool wrote = false;
          const auto commit = applier_.archive(*data_, stream, row, head, wrote);
          if (!commit.ok()) return commit.status();
          v1::ArchiveResponse done_response = response;
          *done_response.mutable_commit() = *commit;
          return done_response;
        });
}

void MemoryStore::erase(EraseRequest request, Done<v1::CommitResponse> done) {
  upkeep([this, request = std::move(request), done = ends_upkeep(std::move(done))] {
    write_erased(request, done);
  });
}

void MemoryStore::write_erased(const EraseRequest& asked, Done<v1::CommitResponse> done) {
  EraseRequest request = asked;
  const Result<StreamHead> head = data_->head(request.stream);
  if (head->seq == 0) {
    return done(Status(Code::kNotFound, "there is no stream " + request.stream));
  }
  if (request.last_seq == 0) request.last_seq = head->seq;
  std::vector<SegmentChange> changes;
  const std::vector<SegmentRow> segments = *data_->segments(request.stream);
  for (const SegmentRow& row : segments) {
    if (row.last_seq < request.first_seq || row.first_seq > request.last_seq) continue;
    auto rewritten = rewrite_without(request.stream, row, request.first_seq, request.last_seq,
                                     data_->blob_digests(), archive_);
    if (!rewritten.ok()) return done(rewritten.status());
    for (const Rewritten& each : *rewritten) {
      if (!put_file(each.after, each.file)) return;
      changes.push_back({each.before, each.after});
    }
  }
  Done<v1::CommitResponse> committed = [this, asked, done](Result<v1::CommitResponse> result) {
    if (!remove_garbage()) return;
    if (!result.ok() && result.status().code() == Code::kFailedPrecondition) {
      return write_erased(asked, done);
    }
    done(std::move(result));
  };
  write(std::move(committed), [this, request, changes, seq = head->seq] {
    bool wrote = false;
    return applier_.erase(*data_, request, changes, seq, wrote);
  });
}

uint64_t MemoryStore::sweep(int64_t min_age_ns) {
  const int64_t newest = clock_.wall_now() - min_age_ns;
  std::vector<std::string> old;
  for (const auto& [digest, blob] : data_->blobs) {
    if (blob.created_wall_ns <= newest) old.push_back(digest);
  }
  if (old.empty()) return 0;
  BlobScan scan(old);
  for (const v1::Record& record : data_->log) scan.look_at(record.payload());
  for (const auto& [name, documents] : data_->collections) {
    for (const auto& [key, document] : documents) scan.look_at(document.value);
  }
  for (const auto& [stream, rows] : data_->archived) {
    for (const SegmentRow& row : rows) {
      for (const std::string& digest : row.blobs) scan.look_at(digest);
    }
  }
  const std::vector<std::string> unnamed = scan.unnamed();
  for (const std::string& digest : unnamed) data_->blobs.erase(digest);
  return unnamed.size();
}

void MemoryStore::sweep_blobs(int64_t min_age_ns, Done<uint64_t> done) {
  upkeep([this, min_age_ns, done = ends_upkeep(std::move(done))] {
    write(done, [this, min_age_ns]() -> Result<uint64_t> { return sweep(min_age_ns); });
  });
}

v1::MaintainResponse MemoryStore::report() const {
  v1::MaintainResponse response;
  response.set_archive_location(files_.location());
  response.set_incremental(true);
  for (const auto& [stream, rows] : data_->archived) {
    for (const SegmentRow& row : rows) {
      response.set_archived_segments(response.archived_segments() + 1);
      response.set_archived_records(response.archived_records() + row.records());
      response.set_archive_bytes(response.archive_bytes() + row.file_bytes);
    }
  }
  return response;
}

void MemoryStore::maintain(v1::MaintainRequest request, Done<v1::MaintainResponse> done) {
  upkeep([this, request = std::move(request), done = ends_upkeep(std::move(done))] {
    if (Status status = check(request); !status.ok()) return done(status);
    if (!remove_garbage()) return;
    write(done, [this, request]() -> Result<v1::MaintainResponse> {
      v1::MaintainResponse response = report();
      if (request.sweep_blobs()) response.set_swept_blobs(sweep(min_age_ns(request)));
      return response;
    });
  });
}

}  // namespace palyra::journal
