// What verification and export read of the store in memory.
#include "plugins/journal/memory/data.h"
#include "plugins/journal/request_check.h"
#include "plugins/journal/store_check.h"

#include <algorithm>
#include <utility>

namespace palyra::journal {
namespace {

uint64_t bounded(uint64_t up_to, uint64_t position) {
  return up_to == 0 ? position : std::min(up_to, position);
}

ScannedRow row_of(const v1::Record& record, int64_t stream) {
  return {.stream = stream,
          .seq = record.seq(),
          .position = record.position(),
          .type = record.type(),
          .wall_time_ns = record.wall_time_ns(),
          .payload_digest = record.payload_digest(),
          .prev_hash = record.prev_hash(),
          .hash = record.hash(),
          .has_payload = !record.erased(),
          .salt = record.salt(),
          .payload = record.payload()};
}

}  // namespace

// Streams are numbered as they are met.
class MemoryStore::Audit final : public Places {
 public:
  explicit Audit(const Data& data) : data_(data) {}

  int64_t id(const std::string& stream) {
    const auto [found, fresh] = ids_.emplace(stream, static_cast<int64_t>(names_.size()));
    if (fresh) names_.push_back(&found->first);
    return found->second;
  }
  Result<std::optional<std::string>> name(int64_t stream) override {
    return std::optional<std::string>(*names_[static_cast<size_t>(stream)]);
  }
  // No two records have one number here.
  Result<std::optional<Before>> before(int64_t stream, uint64_t seq, uint64_t) override {
    const std::vector<v1::Record*>& records = records_of(stream);
    if (seq < 2 || records.empty()) return std::optional<Before>();
    const v1::Record* const stored = records[std::min<uint64_t>(seq - 1, records.size()) - 1];
    if (stored == nullptr) return std::optional<Before>();
    const v1::Record& record = *stored;
    Before found;
    found.seq = record.seq();
    found.position = record.position();
    std::copy_n(record.hash().begin(), std::min(record.hash().size(), found.hash.size()),
                found.hash.begin());
    return std::optional<Before>(found);
  }
  Status marks(int64_t stream, const Mark& mark) override {
    for (const v1::Record* record : records_of(stream)) {
      if (record == nullptr || record->erased()) continue;
      if (record->type() == kErasedType || record->type() == "segment_closed") {
        mark(record->type(), record->payload());
      }
    }
    return {};
  }

 private:
  const std::vector<v1::Record*>& records_of(int64_t stream) const {
    return data_.streams.at(*names_[static_cast<size_t>(stream)]);
  }

  const Data& data_;
  std::map<std::string, int64_t> ids_;
  std::vector<const std::string*> names_;
};

void MemoryStore::verify_store(v1::VerifyStoreRequest request, Done<v1::VerifyStoreResponse> done) {
  answer(
      std::move(done), [this, request = std::move(request)]() -> Result<v1::VerifyStoreResponse> {
        v1::VerifyStoreResponse page;
        const uint64_t up_to = bounded(request.up_to(), data_->log.size());
        page.set_up_to(up_to);
        Audit audit(*data_);
        uint64_t at = std::max<uint64_t>(request.from_position(), 1);
        StoreCheck check(audit, at, page);
        for (; at <= up_to; ++at) {
          const v1::Record& record = data_->log[at - 1];
          if (record.stream().empty()) continue;
          if (Status status = check.add(row_of(record, audit.id(record.stream()))); !status.ok()) {
            return status;
          }
          if (!check.full()) continue;
          if (at < up_to) page.set_next_position(at + 1);
          return page;
        }
        check.end(up_to);
        return page;
      });
}

void MemoryStore::heads(v1::HeadsRequest request, Done<v1::HeadsResponse> done) {
  answer(std::move(done), [this, request = std::move(request)]() -> Result<v1::HeadsResponse> {
    if (Status status = check(request); !status.ok()) return status;
    v1::HeadsResponse response;
    const uint64_t up_to = bounded(request.up_to(), data_->log.size());
    response.set_up_to(up_to);
    response.set_position(up_to);
    for (const v1::StreamSeq& at : request.at()) {
      const v1::Record* record = stored(at.stream(), at.seq());
      std::shared_ptr<const Segment> segment;
      if (record == nullptr) {
        record = archived_record(at.stream(), at.seq(), *data_->segments(at.stream()), archive_,
                                 segment);
      }
      if (record == nullptr) continue;
      v1::Head& head = *response.add_heads();
      head.set_stream(at.stream());
      head.set_seq(at.seq());
      head.set_hash(record->hash());
      head.set_position(record->position());
    }
    if (request.at_size() > 0) return response;
    Audit audit(*data_);
    HeadsWindow window(audit, request.limit() == 0 ? kDefaultHeads : request.limit());
    for (uint64_t at = request.since() + 1; at <= up_to; ++at) {
      const v1::Record& record = data_->log[at - 1];
      if (record.stream().empty()) continue;
      const Result<bool> taken = window.add(row_of(record, audit.id(record.stream())));
      if (!taken.ok()) return taken.status();
      if (*taken) continue;
      response.set_position(at - 1);
      break;
    }
    window.finish(response);
    return response;
  });
}

void MemoryStore::list_streams(v1::ListStreamsRequest request, Done<v1::ListStreamsResponse> done) {
  answer(
      std::move(done), [this, request = std::move(request)]() -> Result<v1::ListStreamsResponse> {
        if (Status status = check(request); !status.ok()) return status;
        v1::ListStreamsResponse response;
        const uint64_t up_to = bounded(request.up_to(), data_->log.size());
        const uint32_t limit = request.limit() == 0 ? kDefaultHeads : request.limit();
        auto at = request.after() < request.prefix() ? data_->streams.lower_bound(request.prefix())
                                                     : data_->streams.upper_bound(request.after());
        uint64_t looked_at = 0;
        for (uint32_t seen = 0; at != data_->streams.end(); ++at, ++seen) {
          if (at->first.compare(0, request.prefix().size(), request.prefix()) != 0) break;
          if (seen == limit) return response;
          response.set_next_after(at->first);
          const auto last = std::find_if(
              at->second.rbegin(), at->second.rend(),
              [&](const auto* one) { return one != nullptr && one->position() <= up_to; });
          const std::vector<SegmentRow> segments = *data_->segments(at->first);
          v1::StreamInfo info;
          info.set_stream(at->first);
          if (last != at->second.rend()) {
            info.set_last_seq((*last)->seq());
            info.set_last_time_ns((*last)->wall_time_ns());
            info.set_last_position((*last)->position());
            info.set_last_hash((*last)->hash());
          } else if (!last_archived(at->first, up_to, segments, archive_, info)) {
            continue;
          }
          if (request.look_for_files()) {
            const auto first = std::find_if(at->second.begin(), at->second.end(),
                                            [](const auto* one) { return one != nullptr; });
            info.set_archived_to(static_cast<uint64_t>(first - at->second.begin()));
            look_for_files(segments, archive_, info, looked_at);
          }
          *response.add_streams() = std::move(info);
          if (looked_at > kMaxLookedAt) return response;
        }
        response.clear_next_after();
        return response;
      });
}

}  // namespace palyra::journal
