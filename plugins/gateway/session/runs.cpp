// Runs and tapes as clients see them.
#include "palyra/service/v1/journal_upkeep.pb.h"
#include "plugins/common/digest/digest.h"
#include "plugins/gateway/delivery/tape_entry.h"
#include "plugins/gateway/session/gateway_impl.h"
#include "plugins/gateway/session/validate.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

// Of runs with their answers, after which a page of a list ends: one more page of the journal and
// one more answer still make a message that may be sent.
constexpr size_t kListBytes = 1536 * 1024;

// How often somebody who waits for a run that is not driven here has it looked at.
constexpr int64_t kLookAgainNs = 500 * kNanosPerMilli;

std::string to_json(const google::protobuf::Message& message) {
  std::string out;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  if (!google::protobuf::util::MessageToJsonString(message, &out, options).ok()) return "{}";
  return out;
}

// Names both in one sentence if a request has none or two.
Status one_stream(const std::string& run_id, const std::string& session_id) {
  if (run_id.empty() == session_id.empty()) {
    return {Code::kInvalidArgument, "give either run_id or session_id"};
  }
  return run_id.empty() ? check_ulid("session_id", session_id) : check_ulid("run_id", run_id);
}

}  // namespace

Task<Result<std::unique_ptr<Subscription>>> GatewayImpl::attach(Caller caller,
                                                                api::RunAttach request) {
  Status status = check_ulid("run_id", request.run_id());
  if (!status.ok()) co_return status;
  std::shared_ptr<RunHub> hub;
  auto live = runs_.find(request.run_id());
  if (live == runs_.end()) {
    auto run = co_await visible_run(caller, request.run_id());
    if (!run.ok()) co_return run.status();
    live = runs_.find(request.run_id());
    if (live == runs_.end()) {
      hub = std::make_shared<RunHub>(environment_.world.executor, run->run_id(), run->session_id());
      hub->set_head(run->seq());
      hub->set_state(run->state(), run->wait_reason());
      hub->end();
    }
  }
  if (!hub) {
    if (!owns(caller, live->second->doc().principal())) {
      co_return Status(Code::kPermissionDenied,
                       "run " + request.run_id() + " belongs to another principal");
    }
    hub = live->second->hub();
  }
  Place place;
  place.next_seq = std::max<uint64_t>(request.from_seq(), 1);
  place.turn = request.turn();
  place.attempt = request.turn() == 0 ? 0 : std::max<uint32_t>(request.attempt(), 1);
  place.offset = request.turn() == 0 ? 0 : request.offset();
  place.reasoning_offset = request.turn() == 0 ? 0 : request.reasoning_offset();
  if (place.next_seq > hub->head_seq() + 1) {
    co_return Status(Code::kOutOfRange, "from_seq " + std::to_string(place.next_seq) +
                                            " is beyond the tape of run " + request.run_id() +
                                            ", which ends at " + std::to_string(hub->head_seq()));
  }
  co_return make_cursor(environment_.world.journal, std::move(hub), place);
}

Task<Result<api::WaitRunResponse>> GatewayImpl::wait_run(Caller caller,
                                                         api::WaitRunRequest request) {
  if (request.timeout_ms() < 0 || request.timeout_ms() > 300'000) {
    co_return Status(Code::kInvalidArgument, "timeout_ms must be 0 to 300000");
  }
  const int64_t timeout_ms = request.timeout_ms() == 0 ? 30'000 : request.timeout_ms();
  const int64_t deadline = environment_.world.clock.mono_now() + timeout_ms * kNanosPerMilli;
  api::WaitRunResponse out;
  for (;;) {
    auto run = co_await visible_run(caller, request.run_id());
    if (!run.ok()) co_return run.status();
    const bool done =
        ended(run->state()) || (request.until_waiting() && run->state() == api::RUN_STATE_WAITING);
    *out.mutable_run() = std::move(*run);
    if (done) co_return out;
    const int64_t now = environment_.world.clock.mono_now();
    if (now >= deadline || environment_.stopping) {
      out.set_timed_out(true);
      co_return out;
    }
    const auto live = runs_.find(request.run_id());
    if (live != runs_.end() && !live->second->hub()->ended()) {
      const auto hub = live->second->hub();
      const bool notified = co_await hub->changed().wait(deadline);
      static_cast<void>(notified);
    } else {
      // Another daemon drives it, or nobody yet: its document tells, looked at now and then.
      const auto taken_up = taken_up_;
      const bool notified = co_await taken_up->wait(std::min(deadline, now + kLookAgainNs));
      static_cast<void>(notified);
    }
  }
}

Task<Result<api::CancelRunResponse>> GatewayImpl::cancel_run(Caller caller,
                                                             api::CancelRunRequest request) {
  Status status = check_text("reason", request.reason(), 0, 500);
  if (!status.ok()) co_return status;
  auto run = co_await visible_run(caller, request.run_id());
  if (!run.ok()) co_return run.status();
  api::CancelRunResponse out;
  out.set_state(run->state());
  auto live = runs_.find(request.run_id());
  if (live == runs_.end() && !ended(run->state())) {
    co_return Status(Code::kUnavailable,
                     "run " + request.run_id() +
                         " is not driven by this daemon, so nothing was cancelled; try again "
                         "shortly, or ask the daemon that drives it",
                     PALYRA_ERROR_RETRYABLE);
  }
  if (live == runs_.end()) co_return out;
  const std::shared_ptr<RunLoop> loop = live->second;
  if (!loop->begun()) {
    const auto session = loop->session();
    Mutex::Guard guard = co_await session->lock();
    if (!loop->begun() && std::erase(session->queue, request.run_id()) > 0) {
      RunLoop::Opening opening;
      api::Session doc = session->doc();
      doc.set_queued(static_cast<uint32_t>(session->queue.size()));
      for (const auto& input_id : input_ids(loop->state())) {
        tape::SessionEvent dropped;
        dropped.mutable_input_dropped()->set_input_id(input_id);
        dropped.mutable_input_dropped()->set_run_id(request.run_id());
        dropped.mutable_input_dropped()->set_reason("cancelled");
        append(opening.commit, session_stream(session->id()), session->seq(), dropped,
               environment_.world.clock.wall_now());
      }
      put_session(opening.commit, doc);
      opening.session_doc = std::move(doc);
      opening.guard = std::move(guard);
      tape::RunEvent event;
      event.mutable_cancel_requested()->set_principal(caller.principal);
      event.mutable_cancel_requested()->set_reason(request.reason());
      opening.events.push_back(std::move(event));
      const Slot<Result<service::CommitResponse>> committed;
      opening.committed = committed;
      environment_.tasks.spawn(loop->run(std::move(opening)));
      const auto response = co_await committed;
      if (!response.ok()) co_return response.status();
      out.set_state(loop->doc().state());
      co_return out;
    }
  }
  status = co_await loop->cancel(caller.principal, request.reason());
  if (!status.ok()) co_return status;
  out.set_state(loop->doc().state());
  co_return out;
}

Task<Result<api::Run>> GatewayImpl::get_run(Caller caller, api::GetRunRequest request) {
  co_return co_await visible_run(std::move(caller), request.run_id());
}

Task<Result<api::ListRunsResponse>> GatewayImpl::list_runs(Caller caller,
                                                           api::ListRunsRequest request) {
  uint32_t size = request.page_size();
  std::string cursor;
  Status status = check_page_size(size);
  if (status.ok()) status = parse_page_token(request.page_token(), cursor);
  if (status.ok() && !request.session_id().empty()) {
    status = check_ulid("session_id", request.session_id());
  }
  if (!status.ok()) co_return status;
  if (!request.session_id().empty()) {
    auto session = co_await open_session(caller, request.session_id());
    if (!session.ok()) co_return session.status();
  }
  const std::string owner = owner_key(caller.principal);
  const bool all = caller.may("admin");
  api::ListRunsResponse out;
  do {
    service::QueryRequest query;
    query.set_collection(kRuns);
    query.set_descending(true);
    query.set_limit(size - static_cast<uint32_t>(out.runs_size()));
    query.set_cursor(cursor);
    if (!request.session_id().empty()) {
      query.set_index("session");
      query.set_from(request.session_id());
      query.set_to(request.session_id() + '\0');
    } else if (request.active_only() || !all) {
      query.set_index(request.active_only() ? "active" : "owner");
      if (!all) {
        query.set_from(owner);
        query.set_to(owner + '\0');
      }
    }
    auto page = co_await environment_.world.journal.query(std::move(query));
    if (!page.ok()) co_return page.status();
    for (const auto& document : page->documents()) {
      api::Run run;
      const auto live = runs_.find(document.key());
      if (live != runs_.end()) {
        run = live->second->doc();
      } else if (!run.ParseFromString(document.value())) {
        continue;
      }
      if (!owns(caller, run.principal()) || (request.active_only() && ended(run.state()))) {
        continue;
      }
      *out.add_runs() = std::move(run);
    }
    cursor = page->next_cursor();
  } while (!cursor.empty() && out.runs_size() < static_cast<int>(size) &&
           out.ByteSizeLong() < kListBytes);
  if (!cursor.empty()) out.set_next_page_token(page_token(cursor));
  co_return out;
}

Task<Result<std::string>> GatewayImpl::visible_stream(Caller caller, std::string run_id,
                                                      std::string session_id) {
  Status status = one_stream(run_id, session_id);
  if (!status.ok()) co_return status;
  if (!run_id.empty()) {
    auto run = co_await visible_run(std::move(caller), run_id);
    if (!run.ok()) co_return run.status();
    co_return run_stream(run_id);
  }
  auto session = co_await open_session(std::move(caller), session_id);
  if (!session.ok()) co_return session.status();
  co_return session_stream(session_id);
}

Task<Result<api::ReadTapeResponse>> GatewayImpl::read_tape(Caller caller,
                                                           api::ReadTapeRequest request) {
  if (request.limit() > 1000) {
    co_return Status(Code::kInvalidArgument,
                     "limit is " + std::to_string(request.limit()) + "; at most 1000 entries");
  }
  auto stream = co_await visible_stream(std::move(caller), request.run_id(), request.session_id());
  if (!stream.ok()) co_return stream.status();
  service::ReadRequest read;
  read.set_stream(*stream);
  read.set_from_seq(request.from_seq());
  read.set_limit(request.limit());
  // Twice in the answer unless only JSON is asked for; a message is at most 4 MiB.
  read.set_max_bytes(request.json_only() ? 2 * 1024 * 1024 : 1024 * 1024);
  auto page = co_await environment_.world.journal.read(std::move(read));
  if (!page.ok()) co_return page.status();
  api::ReadTapeResponse out;
  out.set_head_seq(page->head_seq());
  for (auto& record : *page->mutable_records()) {
    auto& entry = *out.add_entries();
    entry = tape_entry(*stream, record);
    if (record.erased()) continue;
    // The first two are the journal's own.
    if (record.type() == "erased") {
      service::Erased event;
      if (event.ParseFromString(record.payload())) entry.set_payload_json(to_json(event));
    } else if (record.type() == "segment_closed") {
      service::SegmentClosed event;
      if (event.ParseFromString(record.payload())) entry.set_payload_json(to_json(event));
    } else if (!request.run_id().empty()) {
      tape::RunEvent event;
      if (event.ParseFromString(record.payload())) entry.set_payload_json(to_json(event));
    } else {
      tape::SessionEvent event;
      if (event.ParseFromString(record.payload())) entry.set_payload_json(to_json(event));
    }
    if (!request.json_only()) entry.set_payload(std::move(*record.mutable_payload()));
  }
  co_return out;
}

Task<Result<api::VerifyTapeResponse>> GatewayImpl::verify_tape(Caller caller,
                                                               api::VerifyTapeRequest request) {
  auto stream = co_await visible_stream(std::move(caller), request.run_id(), request.session_id());
  if (!stream.ok()) co_return stream.status();
  service::VerifyRequest verify;
  verify.set_stream(*stream);
  auto verified = co_await environment_.world.journal.verify(std::move(verify));
  if (!verified.ok()) co_return verified.status();
  api::VerifyTapeResponse out;
  out.set_ok(verified->ok());
  out.set_records(verified->records());
  out.set_erased(verified->erased());
  out.set_bad_seq(verified->bad_seq());
  if (verified->ok() && verified->archive_missing() > 0) {
    out.set_reason(std::to_string(verified->archive_missing()) +
                   " records are proven by what follows them only: " + verified->reason());
  } else {
    out.set_reason(verified->reason());
  }
  out.set_head_hash(digest::to_hex(verified->head_hash()));
  co_return out;
}

}  // namespace palyra::gateway
