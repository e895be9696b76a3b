#include "plugins/gateway/audit/exporter.h"

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

Status changed() {
  return {Code::kAborted,
          "something was erased or moved while it was exported; export it once more"};
}

// The whole of a stream, as far as it is told.
ExportPart whole_part(pb::StreamInfo info) {
  ExportPart part;
  part.stream = info.stream();
  part.prev_hash.assign(32, '\0');
  part.last_seq = info.last_seq();
  part.last_hash = info.last_hash();
  part.missing.assign(info.missing().begin(), info.missing().end());
  return part;
}

void put_part(std::string& fields, const ExportPart& part) {
  put_field(fields, part.stream);
  put_field(fields, part.first_seq);
  put_field(fields, part.prev_hash);
  put_field(fields, part.last_seq);
  put_field(fields, part.last_hash);
}

void put_gap(std::string& fields, const std::string& stream, const pb::SegmentClosed& gap) {
  put_field(fields, "missing");
  put_field(fields, stream);
  put_field(fields, gap.first_seq());
  put_field(fields, gap.last_seq());
  put_field(fields, gap.prev_hash());
  put_field(fields, gap.last_hash());
  put_field(fields, gap.archive_digest());
}

std::string all_of(const ExportPart& part) {
  std::string fields;
  put_part(fields, part);
  for (const pb::SegmentClosed& gap : part.missing) put_gap(fields, part.stream, gap);
  return fields;
}

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

// By halves; positions grow along the stream.
Task<Result<uint64_t>> Exporter::first_audit_record(uint64_t position) {
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
    const bool reached = (*record)->position() >= position;
    (reached ? high : low) = reached ? middle : middle + 1;
  }
  co_return low;
}

// The clock may have been set back: all is taken from the first checkpoint that reached `since` to
// the one behind the last that had not reached `until`.
Task<Status> Exporter::find_range() {
  auto newest = co_await checkpointer_.cover();
  if (!newest.ok()) co_return newest.status();
  if (!*newest) co_return Status(Code::kNotFound, "the store is empty: there is nothing to export");
  newest_ = **newest;
  end_ = newest_;
  bool begun = request_.since_ms() <= 0;
  bool ended = false;
  bool done = begun && request_.until_ms() <= 0;
  uint64_t number = 0;
  uint64_t position = 0;
  for (uint64_t from = 1; !done;) {
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
      if (!begun && checkpoint.time_ms() >= request_.since_ms()) {
        begun = true;
        begin_ = number;
        begin_position_ = position;
      }
      if (checkpoint.time_ms() < request_.until_ms()) {
        ended = false;
      } else if (!std::exchange(ended, true)) {
        end_ = link_of(checkpoint);
      }
      number = checkpoint.number();
      position = checkpoint.position();
      done = number == newest_.number || (begun && request_.until_ms() <= 0);
      if (done) break;
    }
    if (page->records().empty()) break;
  }
  if (!begun) co_return Status(Code::kNotFound, "nothing was recorded in that range of time");
  if (!ended || request_.until_ms() <= 0) end_ = newest_;
  heads_up_to_ = end_.number;
  co_return Status();
}

// ---- what of each stream ----------------------------------------------------------------------

Task<Result<std::optional<pb::StreamInfo>>> Exporter::info_of(std::string stream, uint64_t up_to,
                                                              bool look_for_files) {
  pb::ListStreamsRequest list;
  list.set_prefix(stream);
  list.set_limit(1);
  list.set_up_to(up_to);
  list.set_look_for_files(look_for_files);
  auto page = co_await audit_.list_streams(std::move(list));
  if (!page.ok()) co_return page.status();
  if (page->streams_size() == 0 || page->streams(0).stream() != stream) {
    co_return std::optional<pb::StreamInfo>();
  }
  co_return std::optional<pb::StreamInfo>(std::move(*page->mutable_streams(0)));
}

// Begins behind checkpoint `begin_`.
Task<Result<ExportPart>> Exporter::without_older(ExportPart part) {
  const auto before = co_await info_of(part.stream, begin_position_, !part.missing.empty());
  if (!before.ok()) co_return before.status();
  if (!*before || (*before)->last_seq() >= part.last_seq) co_return part;
  part.first_seq = (*before)->last_seq() + 1;
  part.prev_hash = (*before)->last_hash();
  for (const pb::SegmentClosed& gap : (*before)->missing()) {
    if (gap.last_seq() != (*before)->last_seq()) continue;
    // Nobody knows which of its records are older, so all belong to the export.
    part.first_seq = gap.first_seq();
    part.prev_hash = gap.prev_hash();
  }
  const uint64_t first = part.first_seq;
  std::erase_if(part.missing, [first](const auto& gap) { return gap.last_seq() < first; });
  co_return part;
}

Task<Result<std::vector<SeqRange>>> Exporter::erased_by(std::string stream, uint64_t first,
                                                        uint64_t last) {
  Erasures found;
  for (uint64_t from = first; from <= last;) {
    pb::ReadRequest read;
    read.set_stream(stream);
    read.set_from_seq(from);
    read.set_limit(static_cast<uint32_t>(std::min<uint64_t>(last - from + 1, kRecordsOfAPage)));
    read.set_max_bytes(1 << 20);
    auto page = co_await journal_.read(std::move(read));
    if (!page.ok()) co_return page.status();
    if (page->records().empty()) break;
    for (const pb::Record& record : page->records()) {
      from = record.seq() + 1;
      found.add(record);
    }
  }
  co_return found.erased();
}

// What was erased, and files that are gone, are explained by records that may be behind `end_`:
// then the stream is taken up to the newest checkpoint.
Task<Result<ExportPart>> Exporter::with_reasons(ExportPart part) {
  const auto now = co_await info_of(part.stream, newest_.position, false);
  if (!now.ok()) co_return now.status();
  if (!*now) co_return part;
  bool needed = !part.missing.empty();
  if (!needed && (*now)->last_seq() > part.last_seq) {
    const auto erased = co_await erased_by(part.stream, part.last_seq + 1, (*now)->last_seq());
    // Who cannot read it cannot exclude it.
    needed =
        !erased.ok() || std::any_of(erased->begin(), erased->end(), [&part](const SeqRange& range) {
          return range.first <= part.last_seq && range.last >= part.first_seq;
        });
  }
  if (!needed) co_return part;
  auto info = co_await info_of(part.stream, newest_.position, true);
  if (!info.ok()) co_return info.status();
  if (!*info) co_return part;
  ExportPart longer = whole_part(std::move(**info));
  longer.first_seq = part.first_seq;
  longer.prev_hash = part.prev_hash;
  const uint64_t first = part.first_seq;
  std::erase_if(longer.missing, [first](const auto& gap) { return gap.last_seq() < first; });
  heads_up_to_ = newest_.number;
  co_return longer;
}

Task<Result<std::optional<ExportPart>>> Exporter::part_of(pb::StreamInfo info) {
  if (info.last_position() <= begin_position_) co_return std::optional<ExportPart>();
  Result<ExportPart> part = whole_part(std::move(info));
  if (begin_ > 0) part = co_await without_older(std::move(*part));
  if (part.ok() && end_.number < newest_.number) part = co_await with_reasons(std::move(*part));
  if (!part.ok()) co_return part.status();
  co_return std::optional<ExportPart>(std::move(*part));
}

// Nothing if it began behind `end_`.
Task<Result<std::optional<pb::StreamInfo>>> Exporter::chosen_stream(std::string name) {
  auto info = co_await info_of(name, end_.position, true);
  if (!info.ok() || *info) co_return info;
  const auto now = co_await info_of(name, 0, false);
  if (!now.ok()) co_return now.status();
  if (!*now) {
    co_return Status(Code::kDataLoss, "the stream " + name +
                                          " belongs to the export and is gone; see: palyra audit "
                                          "verify");
  }
  co_return info;
}

Task<Result<std::vector<ExportPart>>> Exporter::next_parts(Walk& walk) {
  std::vector<ExportPart> parts;
  while (!walk.done && parts.size() < kPartsOfALine) {
    std::vector<pb::StreamInfo> infos;
    if (choice_.all()) {
      pb::ListStreamsRequest list;
      list.set_up_to(end_.position);
      list.set_look_for_files(true);
      list.set_after(walk.after);
      list.set_limit(static_cast<uint32_t>(kPartsOfALine));
      auto page = co_await audit_.list_streams(std::move(list));
      if (!page.ok()) co_return page.status();
      infos.assign(page->streams().begin(), page->streams().end());
      walk.after = page->next_after();
      walk.done = walk.after.empty();
    } else {
      auto info = co_await chosen_stream(names_[walk.next]);
      if (!info.ok()) co_return info.status();
      if (*info) infos.push_back(std::move(**info));
      walk.done = ++walk.next == names_.size();
    }
    for (pb::StreamInfo& info : infos) {
      auto part = co_await part_of(std::move(info));
      if (!part.ok()) co_return part.status();
      if (*part) parts.push_back(std::move(**part));
    }
  }
  co_return parts;
}

// Of its first record; the least that it can be if nobody can read it.
Task<Result<uint64_t>> Exporter::first_position(ExportPart part) {
  const uint64_t least = begin_position_ + 1;
  if (choice_.all() || part.readable_from(part.first_seq) != part.first_seq) co_return least;
  const auto first = co_await record_at(journal_, part.stream, part.first_seq);
  if (!first.ok()) co_return first.status();
  co_return *first ? (*first)->position() : least;
}

// ---- lines ------------------------------------------------------------------------------------

Task<Status> Exporter::write_contents() {
  scope_ = {clock_.wall_now() / kNanosPerMilli, selection_words(request_), choice_.all(), begin_,
            end_.number};
  std::string text = header_line(scope_, checkpointer_.key().public_key());
  Status status = co_await line(std::move(text));
  for (Walk walk; status.ok() && !walk.done;) {
    auto parts = co_await next_parts(walk);
    if (!parts.ok()) co_return parts.status();
    Json list = Json::array();
    for (const ExportPart& part : *parts) {
      std::string fields;
      put_part(fields, part);
      contents_.update(fields);
      parts_.update(all_of(part));
      list.push_back(contents_entry(part.stream, part.first_seq, part.prev_hash, part.last_seq,
                                    part.last_hash));
      ++streams_;
      const auto position = co_await first_position(part);
      if (!position.ok()) co_return position.status();
      least_position_ = std::min(least_position_, *position);
    }
    if (list.empty()) continue;
    text = contents_line(std::move(list));
    status = co_await line(std::move(text));
    for (ExportPart& part : *parts) {
      if (status.ok() && !part.missing.empty()) status = co_await write_missing(std::move(part));
    }
  }
  if (status.ok() && streams_ == 0) {
    co_return Status(Code::kNotFound, "nothing was recorded in that range of time");
  }
  co_return status;
}

Task<Status> Exporter::write_missing(ExportPart part) {
  Status status;
  Json list = Json::array();
  for (size_t i = 0; status.ok() && i < part.missing.size(); ++i) {
    const pb::SegmentClosed& gap = part.missing[i];
    std::string fields;
    put_gap(fields, part.stream, gap);
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

// From the first that covers a record of the export to the newest; with their heads where these are
// needed. The seal says which there are, and which have heads.
Task<Status> Exporter::write_checkpoints() {
  const auto begin = co_await first_audit_record(least_position_);
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
      if (checkpoint.number() <= begin_ || checkpoint.position() < least_position_) continue;
      const bool needed =
          checkpoint.number() <= heads_up_to_ &&
          (choice_.all() || std::any_of(checkpoint.heads().begin(), checkpoint.heads().end(),
                                        [this](const auto& head) {
                                          return choice_.streams().count(head.stream());
                                        }));
      const Link link = link_of(checkpoint);
      std::string fields;
      put_field(fields, "checkpoint");
      put_field(fields, hash_of(link));
      put_field(fields, uint64_t{needed});
      contents_.update(fields);
      std::string text = to_line(link, needed ? &checkpoint : nullptr);
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

Task<Status> Exporter::write_seal() {
  std::string text = seal_line(checkpointer_.key(), scope_, streams_, contents_.finish());
  co_return co_await line(std::move(text));
}

// A payload that was there on the first pass may be gone by now.
Task<Status> Exporter::check_erasures(ExportPart part, Erasures erasures) {
  if (!erasures.any_missing() || erasures.explained()) co_return Status();
  const auto now = co_await info_of(part.stream, 0, false);
  if (!now.ok()) co_return now.status();
  if (!*now || (*now)->last_seq() <= part.last_seq) co_return Status();
  const auto later = co_await erased_by(part.stream, part.last_seq + 1, (*now)->last_seq());
  if (!later.ok()) co_return Status();
  erasures.explain(*later);
  // Otherwise it is damage, which the verifier tells.
  co_return erasures.explained() ? changed() : Status();
}

Task<Status> Exporter::write_part(ExportPart part) {
  Erasures erasures;
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
      erasures.add(record);
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
  co_return co_await check_erasures(std::move(part), std::move(erasures));
}

Task<Status> Exporter::write_records() {
  digest::Sha256 parts_now;
  for (Walk walk; !walk.done;) {
    auto parts = co_await next_parts(walk);
    if (!parts.ok()) co_return parts.status();
    for (ExportPart& part : *parts) {
      parts_now.update(all_of(part));
      Status status = co_await write_part(std::move(part));
      if (!status.ok()) co_return status;
    }
  }
  co_return parts_now.finish() == parts_.finish() ? Status() : changed();
}

Task<Status> Exporter::run(Send<api::ExportAuditChunk> send) {
  send_ = std::move(send);
  Status status = co_await choice_.choose(request_);
  names_.assign(choice_.streams().begin(), choice_.streams().end());
  if (status.ok()) status = co_await find_range();
  if (status.ok()) status = co_await write_contents();
  if (status.ok()) status = co_await write_checkpoints();
  if (status.ok()) status = co_await write_seal();
  if (status.ok()) status = co_await write_records();
  if (status.ok()) status = co_await flush(true);
  co_return status;
}

}  // namespace palyra::gateway::audit
