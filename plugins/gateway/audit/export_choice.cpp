#include "plugins/gateway/audit/export_choice.h"

#include "palyra/gateway/v1/gateway.pb.h"
#include "palyra/tape/v1/session.pb.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway::audit {
namespace {

namespace pb = palyra::service::v1;
namespace tape = palyra::tape::v1;

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

}  // namespace

uint64_t ExportPart::readable_from(uint64_t seq) const {
  for (const pb::SegmentClosed& gap : missing) {
    if (gap.first_seq() <= seq && seq <= gap.last_seq()) seq = gap.last_seq() + 1;
  }
  return seq;
}

uint64_t ExportPart::readable_to(uint64_t seq) const {
  for (const pb::SegmentClosed& gap : missing) {
    if (gap.first_seq() > seq) return std::min(last_seq, gap.first_seq() - 1);
  }
  return last_seq;
}

Task<Result<std::optional<pb::Record>>> record_at(Journal& journal, std::string stream,
                                                  uint64_t seq) {
  pb::ReadRequest read;
  read.set_stream(std::move(stream));
  read.set_from_seq(seq);
  read.set_limit(1);
  auto page = co_await journal.read(std::move(read));
  if (!page.ok()) co_return page.status();
  if (page->records_size() == 0 || page->records(0).seq() != seq) {
    co_return std::optional<pb::Record>();
  }
  co_return std::optional<pb::Record>(std::move(*page->mutable_records(0)));
}

Task<Status> ExportChoice::add_session(std::string session_id) {
  const std::string stream = "session/" + session_id;
  auto found = co_await whole(stream);
  if (!found.ok()) co_return found.status();
  if (!*found) co_return Status(Code::kNotFound, "there is no session " + session_id);
  const ExportPart part = std::move(**found);
  streams_.insert(stream);
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
      add_runs(record, streams_);
    }
    if (page->records().empty()) break;
    from = part.readable_from(from);
  }
  if (part.missing.empty()) co_return Status();
  co_return co_await add_listed_runs(std::move(session_id));
}

// Where the tape cannot be read, the list of runs says which there were.
Task<Status> ExportChoice::add_listed_runs(std::string session_id) {
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
      streams_.insert("run/" + document.key());
    }
    cursor = page->next_cursor();
  } while (!cursor.empty());
  co_return Status();
}

// By the tape; by the list of sessions if that record is erased or missing.
Task<Result<std::string>> ExportChoice::principal_of(std::string session_id) {
  auto record = co_await record_at(journal_, "session/" + session_id, 1);
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

Task<Status> ExportChoice::add_sessions_of(std::string principal) {
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
  if (streams_.empty()) {
    co_return Status(Code::kNotFound, "the principal " + principal + " has no session");
  }
  co_return Status();
}

Task<Status> ExportChoice::choose(api::ExportAuditRequest request) {
  Status status;
  if (!request.session_id().empty()) {
    status = co_await add_session(request.session_id());
  } else if (!request.principal().empty()) {
    status = co_await add_sessions_of(request.principal());
  } else if (!request.run_id().empty()) {
    auto found = co_await whole("run/" + request.run_id());
    if (!found.ok()) co_return found.status();
    if (!*found) co_return Status(Code::kNotFound, "there is no run " + request.run_id());
    streams_.insert("run/" + request.run_id());
  } else {
    all_ = true;
  }
  co_return status;
}

Task<Result<std::optional<ExportPart>>> ExportChoice::whole(std::string stream) {
  pb::ListStreamsRequest list;
  list.set_prefix(stream);
  list.set_limit(1);
  list.set_look_for_files(true);
  auto page = co_await audit_.list_streams(std::move(list));
  if (!page.ok()) co_return page.status();
  if (page->streams_size() == 0 || page->streams(0).stream() != stream) {
    co_return std::optional<ExportPart>();
  }
  ExportPart part;
  part.last_seq = page->streams(0).last_seq();
  part.missing.assign(page->streams(0).missing().begin(), page->streams(0).missing().end());
  co_return std::optional<ExportPart>(std::move(part));
}

}  // namespace palyra::gateway::audit
