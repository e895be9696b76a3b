#include "plugins/gateway/retention/storage_impl.h"

#include "plugins/gateway/session/validate.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace palyra::gateway::retention {
namespace {

constexpr char kCollection[] = "retention";
constexpr char kStateKey[] = "state";
// A slice of a request; a unary call may take 30 s.
constexpr int64_t kSliceNs = 5 * kNanosPerSecond;
// Of one commit: 256 KiB are moved.
constexpr uint32_t kVacuumPages = 64;
// An erasure that could not be finished.
constexpr int64_t kRetryNs = 60 * kNanosPerSecond;

Status require_admin(const Caller& caller) {
  if (caller.may("admin")) return {};
  return Status(Code::kPermissionDenied, "this needs a credential with the scope admin");
}

// Of one session; the next may well be sound.
bool only_this_one(const Status& status) {
  return status.code() == Code::kDataLoss || status.code() == Code::kNotFound;
}

bool is_busy(const api::Session& session) {
  return !session.active_run().empty() || session.queued() > 0;
}

Status about(const api::Session& session, const Status& status) {
  return {status.code(), "session " + session.session_id() + ": " + status.message()};
}

}  // namespace

Task<Status> StorageImpl::finish(std::string key) {
  (void)co_await give_back(false, world_.clock.mono_now() + kSliceNs);
  service::MaintainRequest request;
  request.set_clear_log(true);
  auto cleared = co_await upkeep_.maintain(std::move(request));
  if (!cleared.ok()) co_return cleared.status();
  co_return co_await keeper_.done(std::move(key));
}

// What could not be finished now is tried again later.
Task<Result<api::EraseResponse>> StorageImpl::finish_first(std::string key,
                                                           Result<api::EraseResponse> erased) {
  Status status = erased.status();
  if (erased.ok()) status = co_await finish(key);
  in_hand_.erase(in_hand_.find(key));
  if (erased.ok()) erased->set_pending(status.message());
  if (!status.ok() && !running_ && begin_) begin_();
  co_return erased;
}

Task<Result<api::EraseResponse>> StorageImpl::erase_session(Caller caller,
                                                            api::EraseSessionRequest request) {
  const std::string key = "session/" + request.session_id();
  in_hand_.insert(key);
  auto erased =
      co_await keeper_.erase_session(std::move(caller), request.session_id(), request.reason());
  co_return co_await finish_first(key, std::move(erased));
}

Task<Result<api::EraseResponse>> StorageImpl::erase_run(Caller caller,
                                                        api::EraseRunRequest request) {
  const std::string key = "run/" + request.run_id();
  in_hand_.insert(key);
  auto erased = co_await keeper_.erase_run(std::move(caller), request.run_id(), request.reason());
  co_return co_await finish_first(key, std::move(erased));
}

Task<Status> StorageImpl::finish_erasures() {
  auto unfinished = co_await keeper_.unfinished();
  if (!unfinished.ok()) co_return unfinished.status();
  Status first;
  for (api::Erasure& erasure : *unfinished) {
    const std::string key = Keeper::key_of(erasure);
    if (in_hand_.count(key) != 0) continue;
    const auto erased = co_await keeper_.resume(std::move(erasure));
    Status status = erased.status();
    if (status.ok()) status = co_await finish(key);
    if (first.ok() && !status.ok()) {
      first =
          Status(status.code(), "the erasure of " + key + " is not finished: " + status.message());
    }
  }
  problem_ = first.message();
  co_return first;
}

Task<Result<api::RetentionState>> StorageImpl::state() {
  service::GetRequest request;
  request.set_collection(kCollection);
  request.set_key(kStateKey);
  auto stored = co_await world_.journal.get(std::move(request));
  if (!stored.ok()) co_return stored.status();
  api::RetentionState state;
  if (stored->has_document()) state.ParseFromString(stored->document().value());
  co_return state;
}

Task<Status> StorageImpl::put_state(api::RetentionState state) {
  service::CommitRequest commit;
  auto& put = *commit.add_puts();
  put.set_collection(kCollection);
  put.set_key(kStateKey);
  put.set_value(state.SerializeAsString());
  auto written = co_await world_.journal.commit(std::move(commit));
  co_return written.status();
}

Task<Result<api::StorageStatus>> StorageImpl::status(Caller caller, api::GetStorageRequest) {
  if (Status status = require_admin(caller); !status.ok()) co_return status;
  auto info = co_await world_.journal.info();
  if (!info.ok()) co_return info.status();
  auto upkeep = co_await upkeep_.maintain({});
  if (!upkeep.ok()) co_return upkeep.status();
  auto retention = co_await state();
  if (!retention.ok()) co_return retention.status();
  api::StorageStatus out;
  out.set_file_bytes(info->size_bytes());
  out.set_reclaimable_bytes(upkeep->free_pages() * upkeep->page_size());
  out.set_disk_free_bytes(info->free_bytes());
  out.set_archived_segments(upkeep->archived_segments());
  out.set_archived_records(upkeep->archived_records());
  out.set_archive_bytes(upkeep->archive_bytes());
  out.set_location(info->location());
  out.set_archive_location(upkeep->archive_location());
  out.set_refusal(info->write_refusal());
  out.set_incremental(upkeep->incremental());
  out.set_max_bytes(upkeep->max_bytes());
  out.set_min_free_bytes(upkeep->min_free_bytes());
  out.set_retention_ttl_days(rules_.ttl_days);
  out.set_retention_max_bytes(rules_.max_bytes);
  *out.mutable_retention() = std::move(*retention);
  const auto unfinished = co_await keeper_.unfinished();
  if (!unfinished.ok()) co_return unfinished.status();
  out.set_pending_erasures(static_cast<uint32_t>(unfinished->size()));
  if (!unfinished->empty()) out.set_erasure_problem(problem_);
  co_return out;
}

// Sessions by the time of their last use, from `from_ms` on.
Task<Result<std::vector<api::Session>>> StorageImpl::oldest(int64_t from_ms, std::string* cursor) {
  service::QueryRequest query;
  query.set_collection(kSessions);
  query.set_index("updated");
  query.set_from(ordered(from_ms));
  query.set_limit(50);
  query.set_cursor(*cursor);
  auto page = co_await world_.journal.query(std::move(query));
  if (!page.ok()) co_return page.status();
  std::vector<api::Session> sessions;
  for (const auto& document : page->documents()) {
    api::Session session;
    if (session.ParseFromString(document.value())) sessions.push_back(std::move(session));
  }
  *cursor = page->next_cursor();
  co_return sessions;
}

Task<Result<api::ArchiveSessionsResponse>> StorageImpl::archive(
    Caller caller, api::ArchiveSessionsRequest request) {
  std::string cursor;
  Status status = require_admin(caller);
  if (status.ok()) status = parse_page_token(request.cursor(), cursor);
  if (status.ok() && request.older_than_days() > 36'500) {
    status = Status(Code::kInvalidArgument, "older_than_days is at most 36500");
  }
  if (!status.ok()) co_return status;
  const int64_t newest = world_.clock.wall_now() / kNanosPerMilli -
                         static_cast<int64_t>(request.older_than_days()) * kDayMs;
  const int64_t until = world_.clock.mono_now() + kSliceNs;
  api::ArchiveSessionsResponse out;
  for (bool more = true; more;) {
    auto sessions = co_await oldest(0, &cursor);
    if (!sessions.ok()) co_return sessions.status();
    more = !cursor.empty() && world_.clock.mono_now() < until;
    for (const auto& session : *sessions) {
      if (session.updated_at_ms() > newest) {
        cursor.clear();
        more = false;
        break;
      }
      if (is_busy(session)) {
        out.set_skipped(out.skipped() + 1);
        continue;
      }
      if (request.dry_run()) {
        out.set_sessions(out.sessions() + 1);
        continue;
      }
      const auto done = co_await keeper_.archive(session.session_id());
      if (done.status().code() == Code::kFailedPrecondition) {
        out.set_skipped(out.skipped() + 1);
        continue;
      }
      if (only_this_one(done.status())) {
        out.set_failed(out.failed() + 1);
        if (out.problem().empty()) out.set_problem(about(session, done.status()).message());
        continue;
      }
      if (!done.ok()) co_return done.status();
      out.set_sessions(out.sessions() + (done->records > 0 ? 1 : 0));
      out.set_records(out.records() + done->records);
      out.set_payload_bytes(out.payload_bytes() + done->payload_bytes);
      out.set_file_bytes(out.file_bytes() + done->file_bytes);
    }
  }
  if (!cursor.empty()) out.set_next_cursor(page_token(cursor));
  co_return out;
}

Task<Result<api::VacuumResponse>> StorageImpl::give_back(bool sweep, int64_t until_ns) {
  api::VacuumResponse out;
  for (bool first = true;; first = false) {
    service::MaintainRequest request;
    request.set_vacuum_pages(kVacuumPages);
    request.set_sweep_blobs(first && sweep);
    auto step = co_await upkeep_.maintain(std::move(request));
    if (!step.ok()) co_return step.status();
    out.set_incremental(step->incremental());
    out.set_swept_blobs(out.swept_blobs() + step->swept_blobs());
    out.set_freed_bytes(out.freed_bytes() + step->vacuumed_pages() * step->page_size());
    out.set_more(step->incremental() && step->free_pages() > 0 && step->vacuumed_pages() > 0);
    if (!out.more() || world_.clock.mono_now() >= until_ns) co_return out;
  }
}

Task<Result<api::VacuumResponse>> StorageImpl::vacuum(Caller caller, api::VacuumRequest) {
  if (Status status = require_admin(caller); !status.ok()) co_return status;
  co_return co_await give_back(true, world_.clock.mono_now() + kSliceNs);
}

Task<Result<uint64_t>> StorageImpl::used_bytes() {
  auto upkeep = co_await upkeep_.maintain({});
  if (!upkeep.ok()) co_return upkeep.status();
  co_return (upkeep->pages() - std::min(upkeep->pages(), upkeep->free_pages())) *
      upkeep->page_size();
}

Task<Status> StorageImpl::pass() {
  auto found = co_await state();
  if (!found.ok()) co_return found.status();
  api::RetentionState state = std::move(*found);
  const int64_t now_ms = world_.clock.wall_now() / kNanosPerMilli;
  // The clock was set back: sessions are used at times again that were looked at already.
  if (now_ms < state.last_pass_ms()) state.set_done_to_ms(0);
  Status status;
  Status left;  // the first session that was passed over
  auto used = co_await used_bytes();
  if (!used.ok()) co_return used.status();
  std::string cursor;
  bool changed = false;
  for (bool more = true; more && status.ok();) {
    auto sessions = co_await oldest(state.done_to_ms(), &cursor);
    if (!sessions.ok()) co_return sessions.status();
    more = !cursor.empty();
    for (const auto& session : *sessions) {
      const Verdict verdict =
          judge(rules_, now_ms, *used, {session.updated_at_ms(), is_busy(session)});
      if (verdict == Verdict::kStop) {
        more = false;
        break;
      }
      if (verdict == Verdict::kArchive) {
        const auto done = co_await keeper_.archive(session.session_id());
        if (only_this_one(done.status())) {
          if (left.ok()) left = about(session, done.status());
          continue;
        }
        if (!done.ok() && done.status().code() != Code::kFailedPrecondition) {
          status = done.status();
          break;
        }
        if (done.ok() && done->records > 0) {
          state.set_sessions(state.sessions() + 1);
          state.set_records(state.records() + done->records);
          state.set_payload_bytes(state.payload_bytes() + done->payload_bytes);
          changed = true;
          if (rules_.max_bytes > 0) {
            used = co_await used_bytes();
            if (!used.ok()) co_return used.status();
          }
        }
      }
      // A session that is used meanwhile comes again, with its new time.
      if (left.ok()) state.set_done_to_ms(session.updated_at_ms());
    }
  }
  if (status.ok()) status = left;
  pass_problem_ = status.message();
  state.set_last_pass_ms(now_ms);
  state.set_problem(pass_problem_);
  const Status stored = co_await put_state(state);
  if (changed) (void)co_await give_back(false, std::numeric_limits<int64_t>::max());
  co_return status.ok() ? stored : status;
}

Task<void> StorageImpl::run(int64_t pass_ns, std::function<void(const Status&)> failed) {
  running_ = true;
  for (int64_t next_pass = world_.clock.mono_now();;) {
    const Status erasures = co_await finish_erasures();
    if (!erasures.ok()) failed(erasures);
    if (!rules_.off() && world_.clock.mono_now() >= next_pass) {
      const Status status = co_await pass();
      if (!status.ok()) failed(status);
      next_pass = world_.clock.mono_now() + pass_ns;
    }
    if (rules_.off() && erasures.ok()) break;
    const int64_t retry = world_.clock.mono_now() + kRetryNs;
    const int64_t wake = erasures.ok()  ? next_pass
                         : rules_.off() ? retry
                                        : std::min(retry, next_pass);
    co_await sleep_until(world_.executor, wake);
  }
  running_ = false;
}

}  // namespace palyra::gateway::retention
