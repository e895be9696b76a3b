#include "plugins/journal/memory/store.h"

#include "plugins/journal/chain_check.h"
#include "plugins/journal/memory/data.h"
#include "plugins/journal/query_plan.h"
#include "plugins/journal/request_check.h"

#include <algorithm>
#include <utility>

namespace palyra::journal {

MemoryStore::MemoryStore(const Clock& clock, Executor& executor, Random& random, Options options)
    : clock_(clock),
      executor_(executor),
      options_(options),
      applier_(clock, random),
      data_(std::make_unique<Data>()),
      life_(std::make_shared<uint64_t>(0)) {
  watches_ = std::make_unique<WatchHub>(
      [this](uint64_t from, const std::string& prefix, Done<WatchPage> done) {
        scan(from, prefix, std::move(done));
      },
      0);
}

MemoryStore::MemoryStore(const Clock& clock, Executor& executor, Random& random)
    : MemoryStore(clock, executor, random, Options()) {}

MemoryStore::~MemoryStore() { ++*life_; }

void MemoryStore::crash() {
  ++*life_;
  batch_.clear();
  sync_posted_ = false;
  uploads_.clear();
  data_->parts.clear();
  upkeep_.clear();
  upkeep_runs_ = false;
  watches_->drop();
}

v1::Record* MemoryStore::stored(const std::string& stream, uint64_t seq) {
  const auto found = data_->streams.find(stream);
  if (found == data_->streams.end() || seq == 0 || seq > found->second.size()) return nullptr;
  return found->second[seq - 1];
}

std::vector<SegmentRow>& MemoryStore::archived(const std::string& stream) {
  return data_->archived.at(stream);
}

void MemoryStore::post(std::function<void()> fn) {
  executor_.post([life = life_, born = *life_, fn = std::move(fn)] {
    if (*life == born) fn();
  });
}

void MemoryStore::sync() {
  const uint64_t life = *life_;
  sync_posted_ = false;
  if (hook_) hook_(Step::kBeforeSync);
  if (*life_ != life) return;
  std::vector<std::function<void()>> completions;
  while (!batch_.empty() && completions.size() < options_.group_commit_max) {
    completions.push_back(batch_.front()());
    batch_.pop_front();
  }
  ++syncs_;
  if (hook_) hook_(Step::kAfterSync);
  if (*life_ != life) return;
  if (!batch_.empty() && !std::exchange(sync_posted_, true)) post([this] { sync(); });
  for (auto& completion : completions) post(std::move(completion));
  watches_->advanced(applier_.position());
}

void MemoryStore::commit(v1::CommitRequest request, Done<v1::CommitResponse> done) {
  if (Status status = check(request); !status.ok()) {
    return answer(std::move(done), [status] { return Result<v1::CommitResponse>(status); });
  }
  write(std::move(done), [this, request = std::move(request)] {
    bool wrote = false;
    ++commits_;
    auto result = applier_.commit(*data_, data_->catalogue, request, wrote);
    if (on_commit_) on_commit_(request, result);
    return result;
  });
}

void MemoryStore::declare(v1::DeclareRequest request, Done<v1::DeclareResponse> done) {
  write(std::move(done), [this, request = std::move(request)]() -> Result<v1::DeclareResponse> {
    if (Status status = check(request); !status.ok()) return status;
    const auto change = data_->catalogue.declare(request);
    if (!change.ok()) return change.status();
    return v1::DeclareResponse();
  });
}

void MemoryStore::put_blob(v1::PutBlobRequest request, std::string uploader,
                           Done<v1::PutBlobResponse> done) {
  write(std::move(done),
        [this, request = std::move(request),
         uploader = std::move(uploader)]() -> Result<v1::PutBlobResponse> {
          if (Status status = check(request); !status.ok()) return status;
          v1::PutBlobResponse response;
          if (const auto found = data_->blobs.find(request.digest()); found != data_->blobs.end()) {
            found->second.created_wall_ns = clock_.wall_now();
            response.set_exists(true);
            return response;
          }
          uint64_t failed = 0;
          const Result<Uploads::Step> step = uploads_.accept(request, uploader, failed);
          data_->parts.erase(failed);
          if (!step.ok()) return step.status();
          data_->parts.erase(step->dropped);
          data_->parts[step->id].append(step->fresh);
          if (step->complete) {
            data_->blobs[request.digest()] = {std::move(data_->parts[step->id]), clock_.wall_now()};
            data_->parts.erase(step->id);
          }
          return response;
        });
}

void MemoryStore::read(v1::ReadRequest request, Done<v1::ReadResponse> done) {
  answer(std::move(done), [this, request = std::move(request)]() -> Result<v1::ReadResponse> {
    if (Status status = check(request); !status.ok()) return status;
    v1::ReadResponse response;
    const auto found = data_->streams.find(request.stream());
    if (found == data_->streams.end()) return response;
    const std::vector<v1::Record*>& records = found->second;
    response.set_head_seq(records.size());
    const std::function<Status(PageFill&, uint64_t)> rows = [&](PageFill& fill, uint64_t from) {
      for (uint64_t seq = from; seq >= 1 && seq <= records.size();
           request.descending() ? --seq : ++seq) {
        if (records[seq - 1] == nullptr || !fill.add(*records[seq - 1])) break;
      }
      return Status();
    };
    const Status status =
        read_with_archive(request, *data_->segments(request.stream()), archive_, response, rows);
    if (!status.ok()) return status;
    return response;
  });
}

void MemoryStore::get(v1::GetRequest request, Done<v1::GetResponse> done) {
  answer(std::move(done), [this, request = std::move(request)]() -> Result<v1::GetResponse> {
    if (Status status = check(request); !status.ok()) return status;
    v1::GetResponse response;
    const auto documents = data_->collections.find(request.collection());
    if (documents == data_->collections.end()) return response;
    const auto found = documents->second.find(request.key());
    if (found == documents->second.end()) return response;
    response.mutable_document()->set_key(request.key());
    response.mutable_document()->set_value(found->second.value);
    response.mutable_document()->set_version(found->second.version);
    return response;
  });
}

void MemoryStore::query(v1::QueryRequest request, Done<v1::QueryResponse> done) {
  answer(std::move(done), [this, request = std::move(request)]() -> Result<v1::QueryResponse> {
    if (Status status = check(request); !status.ok()) return status;
    const Result<QueryPlan> plan = plan_query(request, data_->catalogue);
    if (!plan.ok()) return plan.status();
    return data_->run(*plan);
  });
}

void MemoryStore::get_blob(v1::GetBlobRequest request, Done<v1::GetBlobResponse> done) {
  answer(std::move(done), [this, request = std::move(request)]() -> Result<v1::GetBlobResponse> {
    if (Status status = check(request); !status.ok()) return status;
    const auto found = data_->blobs.find(request.digest());
    if (found == data_->blobs.end()) {
      return Status(Code::kNotFound, "no blob " + digest::to_hex(request.digest()));
    }
    v1::GetBlobResponse response;
    const std::string& data = found->second.data;
    response.set_size(data.size());
    if (request.offset() < data.size()) {
      response.set_data(
          data.substr(request.offset(), request.limit() == 0 ? kMaxBlobPart : request.limit()));
    }
    return response;
  });
}

void MemoryStore::verify(v1::VerifyRequest request, Done<v1::VerifyResponse> done) {
  answer(std::move(done), [this, request = std::move(request)]() -> Result<v1::VerifyResponse> {
    if (Status status = check(request); !status.ok()) return status;
    const uint64_t first = std::max<uint64_t>(request.from_seq(), 1);
    const std::vector<SegmentRow> segments = *data_->segments(request.stream());
    std::string before(digest::view(kNoHash));
    if (const v1::Record* const record =
            first > 1 ? stored(request.stream(), first - 1) : nullptr) {
      before = record->hash();
    } else if (first > 1) {
      const std::string hash = archived_hash(request.stream(), first - 1, segments, archive_);
      if (!hash.empty()) before = hash;
    }
    ChainCheck check(request.stream(), first, std::move(before));
    const auto records = data_->streams.find(request.stream());
    const uint64_t head = records == data_->streams.end() ? 0 : records->second.size();
    for (uint64_t seq = check_archived(check, request.stream(), first, segments, archive_);
         seq <= head; ++seq) {
      // Not stored: in the archive, or lost, which the next one shows.
      const v1::Record* const record = stored(request.stream(), seq);
      if (record != nullptr && !check.add(*record)) break;
    }
    return check.result();
  });
}

void MemoryStore::info(Done<v1::InfoResponse> done) {
  answer(std::move(done), [this]() -> Result<v1::InfoResponse> {
    v1::InfoResponse response;
    response.set_backend("memory");
    response.set_location("memory");
    response.set_schema_version(1);
    response.set_position(applier_.position());
    response.set_streams(data_->streams.size());
    response.set_commits(commits_);
    response.set_syncs(syncs_);
    response.set_write_refusal(refusal_.message());
    return response;
  });
}

std::shared_ptr<Watch> MemoryStore::watch(v1::WatchRequest request, WatchCallbacks callbacks) {
  return watches_->add(std::move(request), std::move(callbacks));
}

void MemoryStore::scan(uint64_t from, const std::string& prefix, Done<WatchPage> done) {
  answer(std::move(done), [this, from, prefix]() -> Result<WatchPage> {
    WatchPage page;
    page.next = from;
    size_t bytes = 0;
    for (; page.next <= data_->log.size(); ++page.next) {
      const v1::Record& record = data_->log[page.next - 1];
      if (record.stream().empty()) continue;
      if (record.stream().compare(0, prefix.size(), prefix) != 0) continue;
      const int count = page.item.records_size();
      bytes += record.payload().size();
      if (count == static_cast<int>(kMaxWatchRecords) || (count > 0 && bytes > kMaxWatchBytes)) {
        break;
      }
      *page.item.add_records() = record;
    }
    return page;
  });
}

}  // namespace palyra::journal
