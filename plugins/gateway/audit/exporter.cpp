#include "plugins/gateway/audit/exporter.h"

#include "plugins/gateway/audit/export_lines.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace palyra::gateway::audit {
namespace {

namespace pb = palyra::service::v1;
using Json = nlohmann::json;

constexpr size_t kChunk = 256 << 10;
constexpr size_t kPartsOfALine = 200;
// Missing ranges that are told beside the export, which names all.
constexpr int kMissingTold = 100;

Status left() { return {Code::kCancelled, "nobody waits for this export any more"}; }

}  // namespace

Exporter::Exporter(const Clock& clock, Journal& journal, JournalAudit& audit,
                   Checkpointer& checkpointer, api::ExportAuditRequest request)
    : clock_(clock),
      journal_(journal),
      audit_(audit),
      checkpointer_(checkpointer),
      choice_(journal, audit),
      request_(std::move(request)) {}

Task<Status> Exporter::flush(bool all) {
  constexpr size_t kMost = 1 << 20;
  size_t sent = 0;
  while (sent < buffer_.size() && (all || buffer_.size() - sent >= kChunk)) {
    api::ExportAuditChunk chunk;
    const size_t size = std::min(kMost, buffer_.size() - sent);
    chunk.set_data(buffer_.substr(sent, size));
    chunk.set_records(records_);
    chunk.set_streams(streams_);
    chunk.set_missing_records(missing_records_);
    for (api::MissingRecords& range : missing_) *chunk.add_missing() = std::move(range);
    missing_.clear();
    sent += size;
    if (!co_await send_(std::move(chunk))) co_return left();
  }
  buffer_.erase(0, sent);
  co_return Status();
}

Task<Status> Exporter::line(std::string text) {
  buffer_ += text;
  buffer_ += '\n';
  co_return co_await flush(false);
}

// ---- how far ----------------------------------------------------------------------------------

// By halves; times and positions grow along the stream.
Task<Result<uint64_t>> Exporter::first_audit_record(By by, uint64_t least) {
  pb::ReadRequest head;
  head.set_stream(kAuditStream);
  head.set_descending(true);
  head.set_limit(1);
  auto last = co_await journal_.read(std::move(head));
  if (!last.ok()) co_return last.status();
  uint64_t low = 1;
  uint64_t high = last->head_seq();
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    auto record = co_await record_at(journal_, kAuditStream, middle);
    if (!record.ok()) co_return record.status();
    if (!*record) co_return uint64_t{1};
    const uint64_t value = by == By::kPosition
                               ? (*record)->position()
                               : static_cast<uint64_t>((*record)->wall_time_ns() / kNanosPerMilli);
    (value >= least ? high : low) = value >= least ? middle : middle + 1;
  }
  co_return low;
}

Task<Status> Exporter::find_end() {
  auto newest = co_await checkpointer_.cover();
  if (!newest.ok()) co_return newest.status();
  if (!*newest) co_return Status(Code::kNotFound, "the store is empty: there is nothing to export");
  newest_ = **newest;
  end_ = newest_;
  if (request_.until_ms() <= 0) co_return Status();
  const auto begin =
      co_await first_audit_record(By::kTime, static_cast<uint64_t>(request_.until_ms()));
  if (!begin.ok()) co_return begin.status();
  for (uint64_t seq = *begin;; ++seq) {
    auto record = co_await record_at(journal_, kAuditStream, seq);
    if (!record.ok()) co_return record.status();
    if (!*record) co_return Status();
    tape::AuditEvent event;
    if ((*record)->type() != kCheckpointType || !event.ParseFromString((*record)->payload())) {
      continue;
    }
    if (event.checkpoint().time_ms() < request_.until_ms()) continue;
    end_ = link_of(event.checkpoint());
    co_return Status();
  }
}

// ---- what of each stream ----------------------------------------------------------------------

Task<Result<std::optional<ExportPart>>> Exporter::part_of(pb::StreamInfo info) {
  ExportPart part;
  part.stream = info.stream();
  part.prev_hash.assign(32, '\0');
  part.last_seq = info.last_seq();
  part.last_hash = info.last_hash();
  part.last_position = info.last_position();
  part.missing.assign(info.missing().begin(), info.missing().end());
  if (request_.since_ms() <= 0) co_return std::optional<ExportPart>(std::move(part));
  const int64_t since_ns = request_.since_ms() * kNanosPerMilli;
  if (info.last_time_ns() < since_ns) co_return std::optional<ExportPart>();
  uint64_t low = 1;
  for (uint64_t high = part.last_seq; low < high;) {
    const uint64_t middle = low + (high - low) / 2;
    // One that cannot be read is taken for young: what is missing then belongs to the export.
    bool reached = part.readable_from(middle) != middle;
    if (!reached) {
      auto record = co_await record_at(journal_, part.stream, middle);
      if (!record.ok()) co_return record.status();
      reached = !*record || (*record)->wall_time_ns() >= since_ns;
    }
    (reached ? high : low) = reached ? middle : middle + 1;
  }
  part.first_seq = low;
  std::erase_if(part.missing, [low](const auto& gap) { return gap.last_seq() < low; });
  if (part.readable_from(low) != low) {
    // The first of its segment: the record before was read, and is older.
    part.prev_hash = part.missing.front().prev_hash();
    co_return std::optional<ExportPart>(std::move(part));
  }
  auto first = co_await record_at(journal_, part.stream, low);
  if (!first.ok()) co_return first.status();
  if (*first) part.prev_hash = (*first)->prev_hash();
  co_return std::optional<ExportPart>(std::move(part));
}

Task<Result<std::vector<ExportPart>>> Exporter::next_parts(Walk& walk) {
  std::vector<ExportPart> parts;
  while (!walk.done && parts.size() < kPartsOfALine) {
    pb::ListStreamsRequest list;
    list.set_up_to(end_.position);
    list.set_look_for_files(true);
    if (choice_.all()) {
      list.set_after(walk.after);
      list.set_limit(static_cast<uint32_t>(kPartsOfALine));
    } else {
      list.set_prefix(names_[walk.next]);
      list.set_limit(1);
    }
    auto page = co_await audit_.list_streams(std::move(list));
    if (!page.ok()) co_return page.status();
    for (pb::StreamInfo& info : *page->mutable_streams()) {
      if (!choice_.all() && info.stream() != names_[walk.next]) continue;
      auto part = co_await part_of(std::move(info));
      if (!part.ok()) co_return part.status();
      if (*part) parts.push_back(std::move(**part));
    }
    walk.after = page->next_after();
    walk.done = choice_.all() ? walk.after.empty() : ++walk.next == names_.size();
  }
  co_return parts;
}

// ---- lines ------------------------------------------------------------------------------------

Task<Status> Exporter::write_contents() {
  const std::string selection = selection_words(request_);
  const int64_t now_ms = clock_.wall_now() / kNanosPerMilli;
  std::string text = header_line(now_ms, selection, checkpointer_.key().public_key());
  Status status = co_await line(std::move(text));
  for (Walk walk; status.ok() && !walk.done;) {
    auto parts = co_await next_parts(walk);
    if (!parts.ok()) co_return parts.status();
    Json list = Json::array();
    for (const ExportPart& part : *parts) {
      std::string fields;
      put_field(fields, part.stream);
      put_field(fields, part.first_seq);
      put_field(fields, part.prev_hash);
      put_field(fields, part.last_seq);
      put_field(fields, part.last_hash);
      contents_.update(fields);
      list.push_back(contents_entry(part.stream, part.first_seq, part.prev_hash, part.last_seq,
                                    part.last_hash));
      ++streams_;
      least_position_ = std::min(least_position_, part.last_position);
    }
    if (list.empty()) continue;
    text = contents_line(std::move(list));
    status = co_await line(std::move(text));
    for (ExportPart& part : *parts) {
      if (status.ok() && !part.missing.empty()) status = co_await write_missing(std::move(part));
    }
  }
  if (!status.ok()) co_return status;
  if (streams_ == 0) {
    co_return Status(Code::kNotFound, "nothing was recorded in that range of time");
  }
  text = seal_line(checkpointer_.key(), now_ms, selection, streams_, contents_.finish());
  co_return co_await line(std::move(text));
}

Task<Status> Exporter::write_missing(ExportPart part) {
  Status status;
  Json list = Json::array();
  for (size_t i = 0; status.ok() && i < part.missing.size(); ++i) {
    const pb::SegmentClosed& gap = part.missing[i];
    std::string fields;
    put_field(fields, "missing");
    put_field(fields, part.stream);
    put_field(fields, gap.first_seq());
    put_field(fields, gap.last_seq());
    put_field(fields, gap.prev_hash());
    put_field(fields, gap.last_hash());
    put_field(fields, gap.archive_digest());
    contents_.update(fields);
    missing_records_ += gap.last_seq() - gap.first_seq() + 1;
    if (missing_told_++ < kMissingTold) {
      api::MissingRecords& told = missing_.emplace_back();
      told.set_stream(part.stream);
      told.set_first_seq(gap.first_seq());
      told.set_last_seq(gap.last_seq());
      told.set_file(digest::to_hex(gap.archive_digest()) + ".ndjson.gz");
    }
    list.push_back(missing_entry(part.stream, gap));
    if (list.size() < kPartsOfALine && i + 1 < part.missing.size()) continue;
    std::string text = missing_line(std::exchange(list, Json::array()));
    status = co_await line(std::move(text));
  }
  co_return status;
}

// From the first that covers a stream's last record to the newest; with their heads where these
// are needed.
Task<Status> Exporter::write_checkpoints() {
  const auto begin = co_await first_audit_record(By::kPosition, least_position_);
  if (!begin.ok()) co_return begin.status();
  for (uint64_t from = *begin;;) {
    pb::ReadRequest read;
    read.set_stream(kAuditStream);
    read.set_from_seq(from);
    auto page = co_await journal_.read(std::move(read));
    if (!page.ok()) co_return page.status();
    for (const pb::Record& record : page->records()) {
      from = record.seq() + 1;
      tape::AuditEvent event;
      if (record.type() != kCheckpointType || !event.ParseFromString(record.payload())) continue;
      const tape::Checkpoint& checkpoint = event.checkpoint();
      if (checkpoint.position() < least_position_) continue;
      const bool needed =
          checkpoint.number() <= end_.number &&
          (choice_.all() || std::any_of(checkpoint.heads().begin(), checkpoint.heads().end(),
                                        [this](const auto& head) {
                                          return choice_.streams().count(head.stream());
                                        }));
      std::string text = to_line(link_of(checkpoint), needed ? &checkpoint : nullptr);
      Status status = co_await line(std::move(text));
      if (!status.ok()) co_return status;
      if (checkpoint.number() == newest_.number) co_return Status();
    }
    if (page->records().empty()) {
      co_return Status(Code::kDataLoss,
                       "the audit stream ends before the newest checkpoint; see: palyra audit "
                       "verify");
    }
  }
}

Task<Status> Exporter::write_part(ExportPart part) {
  for (uint64_t from = part.readable_from(part.first_seq); from <= part.last_seq;) {
    pb::ReadRequest read;
    read.set_stream(part.stream);
    read.set_from_seq(from);
    read.set_limit(static_cast<uint32_t>(
        std::min<uint64_t>(part.readable_to(from) - from + 1, kRecordsOfAPage)));
    read.set_max_bytes(1 << 20);
    auto page = co_await journal_.read(std::move(read));
    if (!page.ok()) co_return page.status();
    for (pb::Record& record : *page->mutable_records()) {
      from = record.seq() + 1;
      ++records_;
      std::string text = record_line(part.stream, std::move(record));
      Status status = co_await line(std::move(text));
      if (!status.ok()) co_return status;
    }
    if (page->records().empty()) {
      co_return Status(Code::kDataLoss, "record " + std::to_string(from) + " of " + part.stream +
                                            " is missing; see: palyra audit verify");
    }
    from = part.readable_from(from);
  }
  co_return Status();
}

Task<Status> Exporter::write_records() {
  for (Walk walk; !walk.done;) {
    auto parts = co_await next_parts(walk);
    if (!parts.ok()) co_return parts.status();
    for (ExportPart& part : *parts) {
      Status status = co_await write_part(std::move(part));
      if (!status.ok()) co_return status;
    }
  }
  co_return Status();
}

Task<Status> Exporter::run(Send<api::ExportAuditChunk> send) {
  send_ = std::move(send);
  Status status = co_await choice_.choose(request_);
  names_.assign(choice_.streams().begin(), choice_.streams().end());
  if (status.ok()) status = co_await find_end();
  if (status.ok()) status = co_await write_contents();
  if (status.ok()) status = co_await write_checkpoints();
  if (status.ok()) status = co_await write_records();
  if (status.ok()) status = co_await flush(true);
  co_return status;
}

}  // namespace palyra::gateway::audit
