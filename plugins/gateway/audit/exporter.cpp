#include "plugins/gateway/audit/exporter.h"

#include "palyra/gateway/v1/gateway.pb.h"
#include "palyra/tape/v1/run.pb.h"

#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace palyra::gateway::audit {
namespace {

namespace pb = palyra::service::v1;
using Json = nlohmann::json;

constexpr size_t kChunk = 256 << 10;
constexpr uint64_t kRecordsOfAPage = 1000;
constexpr size_t kPartsOfALine = 200;
// Missing ranges that are told beside the export, which names all.
constexpr int kMissingTold = 100;
// Payloads above this are exported as bytes only.
constexpr size_t kMaxReadable = 64 << 10;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <typename Message>
std::string readable(const std::string& payload) {
  Message message;
  std::string json;
  if (message.ParseFromString(payload)) {
    (void)google::protobuf::util::MessageToJsonString(message, &json);
  }
  return json;
}

std::string record_line(const std::string& stream, pb::Record record) {
  api::TapeEntry entry;
  entry.set_stream(stream);
  entry.set_seq(record.seq());
  entry.set_type(record.type());
  entry.set_time_ns(record.wall_time_ns());
  entry.set_position(record.position());
  entry.set_hash(digest::to_hex(record.hash()));
  entry.set_prev_hash(digest::to_hex(record.prev_hash()));
  entry.set_payload_digest(digest::to_hex(record.payload_digest()));
  entry.set_erased(record.erased());
  if (!record.erased()) {
    entry.set_salt(digest::to_hex(record.salt()));
    if (record.payload().size() <= kMaxReadable) {
      if (stream.rfind("run/", 0) == 0) {
        entry.set_payload_json(readable<tape::RunEvent>(record.payload()));
      } else if (stream.rfind("session/", 0) == 0) {
        entry.set_payload_json(readable<tape::SessionEvent>(record.payload()));
      } else if (stream == kAuditStream) {
        entry.set_payload_json(readable<tape::AuditEvent>(record.payload()));
      }
    }
    entry.set_payload(std::move(*record.mutable_payload()));
  }
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(entry, &json);
  return json;
}

std::string selection_words(const api::ExportAuditRequest& request) {
  std::string words = "the whole store";
  if (!request.session_id().empty()) {
    words = "session " + request.session_id() + " and its runs";
  } else if (!request.principal().empty()) {
    words = "the sessions of " + request.principal() + " and their runs";
  } else if (!request.run_id().empty()) {
    words = "run " + request.run_id();
  }
  if (request.since_ms() != 0) {
    words += "; of each stream, only records from " + std::to_string(request.since_ms()) +
             " ms on, and no stream that ended before";
  }
  if (request.until_ms() != 0) {
    words += "; nothing behind the first checkpoint from " + std::to_string(request.until_ms()) +
             " ms on";
  }
  return words;
}

// Built apart: braces with temporaries do not survive in a coroutine of GCC 12.
std::string header_line(int64_t now_ms, const std::string& selection, const std::string& key) {
  return dump({{"palyraExport", 1},
               {"createdMs", std::to_string(now_ms)},
               {"publicKey", digest::to_hex(key)},
               {"selection", selection}});
}

Json contents_entry(const std::string& stream, uint64_t first_seq, const std::string& prev_hash,
                    uint64_t last_seq, const std::string& last_hash) {
  return {{"stream", stream},
          {"firstSeq", std::to_string(first_seq)},
          {"prevHash", digest::to_hex(prev_hash)},
          {"lastSeq", std::to_string(last_seq)},
          {"lastHash", digest::to_hex(last_hash)}};
}

Json missing_entry(const std::string& stream, const pb::SegmentClosed& segment) {
  return {{"stream", stream},
          {"firstSeq", std::to_string(segment.first_seq())},
          {"lastSeq", std::to_string(segment.last_seq())},
          {"prevHash", digest::to_hex(segment.prev_hash())},
          {"lastHash", digest::to_hex(segment.last_hash())},
          {"archiveDigest", digest::to_hex(segment.archive_digest())}};
}

std::string missing_line(Json list) { return dump({{"missing", std::move(list)}}); }

std::string contents_line(Json list) { return dump({{"contents", std::move(list)}}); }

std::string seal_line(const SigningKey& key, int64_t now_ms, const std::string& selection,
                      uint64_t streams, const std::string& contents_digest) {
  std::string statement;
  put_field(statement, kExportDomain);
  put_field(statement, static_cast<uint64_t>(now_ms));
  put_field(statement, selection);
  put_field(statement, streams);
  put_field(statement, contents_digest);
  put_field(statement, key.public_key());
  const Json seal = {{"streams", std::to_string(streams)},
                     {"contentsDigest", digest::to_hex(contents_digest)},
                     {"signature", digest::to_hex(key.sign(statement))}};
  return dump({{"seal", seal}});
}

// The streams of the runs that a record of a session names.
void add_runs(const pb::Record& record, std::set<std::string>& out) {
  tape::SessionEvent event;
  if (record.erased() || !event.ParseFromString(record.payload())) return;
  for (const std::string* run : {&event.input_accepted().run_id(), &event.input_taken().run_id(),
                                 &event.turn_added().run_id()}) {
    if (!run->empty()) out.insert("run/" + *run);
  }
}

// A file that is gone or is not the one that was written.
bool unreadable(const Status& status) {
  return status.code() == Code::kNotFound || status.code() == Code::kDataLoss;
}

Status left() { return {Code::kCancelled, "nobody waits for this export any more"}; }

}  // namespace

uint64_t Exporter::Part::readable_from(uint64_t seq) const {
  for (const pb::SegmentClosed& gap : missing) {
    if (gap.first_seq() <= seq && seq <= gap.last_seq()) seq = gap.last_seq() + 1;
  }
  return seq;
}

uint64_t Exporter::Part::readable_to(uint64_t seq) const {
  for (const pb::SegmentClosed& gap : missing) {
    if (gap.first_seq() > seq) return std::min(last_seq, gap.first_seq() - 1);
  }
  return last_seq;
}

Exporter::Exporter(const Clock& clock, Journal& journal, JournalAudit& audit,
                   Checkpointer& checkpointer, api::ExportAuditRequest request)
    : clock_(clock),
      journal_(journal),
      audit_(audit),
      checkpointer_(checkpointer),
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

Task<Result<std::optional<pb::Record>>> Exporter::record_at(std::string stream, uint64_t seq) {
  pb::ReadRequest read;
  read.set_stream(std::move(stream));
  read.set_from_seq(seq);
  read.set_limit(1);
  auto page = co_await journal_.read(std::move(read));
  if (!page.ok()) co_return page.status();
  if (page->records_size() == 0 || page->records(0).seq() != seq) {
    co_return std::optional<pb::Record>();
  }
  co_return std::optional<pb::Record>(std::move(*page->mutable_records(0)));
}

// ---- which streams ----------------------------------------------------------------------------

Task<Status> Exporter::add_session(std::string session_id) {
  const std::string stream = "session/" + session_id;
  auto found = co_await whole(stream);
  if (!found.ok()) co_return found.status();
  if (!*found) co_return Status(Code::kNotFound, "there is no session " + session_id);
  const Part part = std::move(**found);
  chosen_.insert(stream);
  for (uint64_t from = part.readable_from(1); from <= part.last_seq;) {
    pb::ReadRequest read;
    read.set_stream(stream);
    read.set_from_seq(from);
    read.set_limit(static_cast<uint32_t>(
        std::min<uint64_t>(part.readable_to(from) - from + 1, kRecordsOfAPage)));
    auto page = co_await journal_.read(std::move(read));
    if (!page.ok()) co_return page.status();
    for (const pb::Record& record : page->records()) {
      from = record.seq() + 1;
      add_runs(record, chosen_);
    }
    if (page->records().empty()) break;
    from = part.readable_from(from);
  }
  if (part.missing.empty()) co_return Status();
  co_return co_await add_listed_runs(std::move(session_id));
}

// Where the tape cannot be read, the list of runs says which there were.
Task<Status> Exporter::add_listed_runs(std::string session_id) {
  std::string cursor;
  do {
    pb::QueryRequest query;
    query.set_collection("runs");
    query.set_index("session");
    query.set_from(session_id);
    query.set_to(session_id + '\0');
    query.set_cursor(cursor);
    auto page = co_await journal_.query(std::move(query));
    if (!page.ok()) co_return page.status();
    for (const pb::Document& document : page->documents()) {
      chosen_.insert("run/" + document.key());
    }
    cursor = page->next_cursor();
  } while (!cursor.empty());
  co_return Status();
}

// By the tape; by the list of sessions if that record is erased or missing.
Task<Result<std::string>> Exporter::principal_of(std::string session_id) {
  auto record = co_await record_at("session/" + session_id, 1);
  if (!record.ok() && !unreadable(record.status())) co_return record.status();
  tape::SessionEvent event;
  if (record.ok() && *record && event.ParseFromString((*record)->payload()) &&
      !event.session_created().principal().empty()) {
    co_return event.session_created().principal();
  }
  pb::GetRequest get;
  get.set_collection("sessions");
  get.set_key(session_id);
  auto found = co_await journal_.get(std::move(get));
  api::Session session;
  if (found.ok() && found->has_document()) session.ParseFromString(found->document().value());
  co_return session.principal();
}

Task<Status> Exporter::add_sessions_of(std::string principal) {
  std::string after;
  do {
    pb::ListStreamsRequest list;
    list.set_prefix("session/");
    list.set_after(after);
    auto page = co_await audit_.list_streams(std::move(list));
    if (!page.ok()) co_return page.status();
    for (const pb::StreamInfo& info : page->streams()) {
      const auto owner = co_await principal_of(info.stream().substr(8));
      if (!owner.ok()) co_return owner.status();
      if (*owner != principal) continue;
      Status status = co_await add_session(info.stream().substr(8));
      if (!status.ok()) co_return status;
    }
    after = page->next_after();
  } while (!after.empty());
  if (chosen_.empty()) {
    co_return Status(Code::kNotFound, "the principal " + principal + " has no session");
  }
  co_return Status();
}

Task<Status> Exporter::choose() {
  Status status;
  if (!request_.session_id().empty()) {
    status = co_await add_session(request_.session_id());
  } else if (!request_.principal().empty()) {
    status = co_await add_sessions_of(request_.principal());
  } else if (!request_.run_id().empty()) {
    auto found = co_await whole("run/" + request_.run_id());
    if (!found.ok()) co_return found.status();
    if (!*found) co_return Status(Code::kNotFound, "there is no run " + request_.run_id());
    chosen_.insert("run/" + request_.run_id());
  } else {
    all_ = true;
  }
  names_.assign(chosen_.begin(), chosen_.end());
  co_return status;
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
    auto record = co_await record_at(kAuditStream, middle);
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
    auto record = co_await record_at(kAuditStream, seq);
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

Task<Result<std::optional<Exporter::Part>>> Exporter::part_of(pb::StreamInfo info) {
  Part part;
  part.stream = info.stream();
  part.prev_hash.assign(32, '\0');
  part.last_seq = info.last_seq();
  part.last_hash = info.last_hash();
  part.last_position = info.last_position();
  part.missing.assign(info.missing().begin(), info.missing().end());
  if (request_.since_ms() <= 0) co_return std::optional<Part>(std::move(part));
  const int64_t since_ns = request_.since_ms() * kNanosPerMilli;
  if (info.last_time_ns() < since_ns) co_return std::optional<Part>();
  uint64_t low = 1;
  for (uint64_t high = part.last_seq; low < high;) {
    const uint64_t middle = low + (high - low) / 2;
    // One that cannot be read is taken for young: what is missing then belongs to the export.
    bool reached = part.readable_from(middle) != middle;
    if (!reached) {
      auto record = co_await record_at(part.stream, middle);
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
    co_return std::optional<Part>(std::move(part));
  }
  auto first = co_await record_at(part.stream, low);
  if (!first.ok()) co_return first.status();
  if (*first) part.prev_hash = (*first)->prev_hash();
  co_return std::optional<Part>(std::move(part));
}

Task<Result<std::optional<Exporter::Part>>> Exporter::whole(std::string stream) {
  pb::ListStreamsRequest list;
  list.set_prefix(stream);
  list.set_limit(1);
  list.set_look_for_files(true);
  auto page = co_await audit_.list_streams(std::move(list));
  if (!page.ok()) co_return page.status();
  if (page->streams_size() == 0 || page->streams(0).stream() != stream) {
    co_return std::optional<Part>();
  }
  Part part;
  part.last_seq = page->streams(0).last_seq();
  part.missing.assign(page->streams(0).missing().begin(), page->streams(0).missing().end());
  co_return std::optional<Part>(std::move(part));
}

Task<Result<std::vector<Exporter::Part>>> Exporter::next_parts(Walk& walk) {
  std::vector<Part> parts;
  while (!walk.done && parts.size() < kPartsOfALine) {
    pb::ListStreamsRequest list;
    list.set_up_to(end_.position);
    list.set_look_for_files(true);
    if (all_) {
      list.set_after(walk.after);
      list.set_limit(static_cast<uint32_t>(kPartsOfALine));
    } else {
      list.set_prefix(names_[walk.next]);
      list.set_limit(1);
    }
    auto page = co_await audit_.list_streams(std::move(list));
    if (!page.ok()) co_return page.status();
    for (pb::StreamInfo& info : *page->mutable_streams()) {
      if (!all_ && info.stream() != names_[walk.next]) continue;
      auto part = co_await part_of(std::move(info));
      if (!part.ok()) co_return part.status();
      if (*part) parts.push_back(std::move(**part));
    }
    walk.after = page->next_after();
    walk.done = all_ ? walk.after.empty() : ++walk.next == names_.size();
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
    for (const Part& part : *parts) {
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
    for (Part& part : *parts) {
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

Task<Status> Exporter::write_missing(Part part) {
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
          (all_ || std::any_of(checkpoint.heads().begin(), checkpoint.heads().end(),
                               [this](const auto& head) { return chosen_.count(head.stream()); }));
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

Task<Status> Exporter::write_part(Part part) {
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
    for (Part& part : *parts) {
      Status status = co_await write_part(std::move(part));
      if (!status.ok()) co_return status;
    }
  }
  co_return Status();
}

Task<Status> Exporter::run(Send<api::ExportAuditChunk> send) {
  send_ = std::move(send);
  Status status = co_await choose();
  if (status.ok()) status = co_await find_end();
  if (status.ok()) status = co_await write_contents();
  if (status.ok()) status = co_await write_checkpoints();
  if (status.ok()) status = co_await write_records();
  if (status.ok()) status = co_await flush(true);
  co_return status;
}

}  // namespace palyra::gateway::audit
