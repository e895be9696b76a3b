#include "plugins/gateway/session/session.h"

#include "plugins/gateway/run/evolve.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

constexpr uint32_t kWalkRecords = 64;
// Of one earlier run as context; a longer tape ends with its last records missing.
constexpr uint64_t kRunBytes = 4 * 1024 * 1024;

// The earlier run behind a turn as one piece of context; empty messages if its tape is gone.
Task<Result<run::Piece>> read_turn(Journal& journal, tape::TurnAdded turn) {
  run::State state;
  uint64_t next = std::max<uint64_t>(turn.first_seq(), 1);
  uint64_t bytes = 0;
  while (next <= turn.last_seq() && bytes < kRunBytes) {
    service::ReadRequest request;
    request.set_stream(run_stream(turn.run_id()));
    request.set_from_seq(next);
    auto page = co_await journal.read(std::move(request));
    if (!page.ok()) co_return page.status();
    if (page->records().empty()) break;
    for (const auto& record : page->records()) {
      tape::RunEvent event;
      if (!record.erased() && event.ParseFromString(record.payload())) {
        run::evolve(state, event, record.wall_time_ns(), record.seq());
      }
      next = record.seq() + 1;
      bytes += record.payload().size();
    }
  }
  run::Piece piece = run::history_piece(state, "turn " + turn.turn_id());
  piece.segment.set_stream(run_stream(turn.run_id()));
  piece.segment.set_first_seq(turn.first_seq());
  piece.segment.set_last_seq(turn.last_seq());
  co_return piece;
}

}  // namespace

Task<Result<std::shared_ptr<Session>>> Session::load(World& world, const Options& options,
                                                     std::string session_id) {
  auto doc = co_await gateway::load<api::Session>(world.journal, kSessions, session_id,
                                                  "session " + session_id);
  if (!doc.ok()) co_return doc.status();
  service::ReadRequest request;
  request.set_stream(session_stream(session_id));
  request.set_limit(1);
  request.set_descending(true);
  auto page = co_await world.journal.read(std::move(request));
  if (!page.ok()) co_return page.status();
  co_return std::make_shared<Session>(world, options, std::move(*doc), page->head_seq());
}

Task<Result<service::CommitResponse>> Session::commit(service::CommitRequest request) {
  Mutex::Guard taking;
  if (token_ == 0) {
    taking = co_await lease_mutex_.lock();
    if (token_ != 0) taking.release();
  }
  const std::string lease = session_stream(id());
  const int64_t now = world_.clock.mono_now();
  const bool renew = now - lease_renewed_ns_ > options_.lease_ttl_ms * kNanosPerMilli / 3;
  if (token_ == 0 || renew) {
    auto& take = *request.add_takes();
    take.set_name(lease);
    take.set_owner(options_.lease_owner);
    take.set_ttl_ms(options_.lease_ttl_ms);
    take.set_token(token_);
  } else {
    auto& fence = *request.add_fences();
    fence.set_name(lease);
    fence.set_token(token_);
  }
  const bool took = request.takes_size() > 0;
  auto response = co_await world_.journal.commit(std::move(request));
  if (response.ok() && took && response->lease_tokens_size() > 0) {
    token_ = response->lease_tokens(0);
    lease_renewed_ns_ = now;
  }
  co_return response;
}

void Session::committed(const service::CommitResponse& response, api::Session doc) {
  if (const auto* landed = appended(response, session_stream(id()))) seq_ = landed->last_seq();
  doc_ = std::move(doc);
}

Task<Result<std::vector<run::Piece>>> Session::history(int64_t tokens) {
  if (!tail_known_) {
    if (seq_ > 0) {
      const Status status = co_await read_history(tokens);
      if (!status.ok()) co_return status;
    }
    tail_known_ = true;
  }
  while (tail_.size() > 1 && tail_tokens_ - tail_.front().segment.tokens() >= tokens) {
    tail_tokens_ -= tail_.front().segment.tokens();
    tail_.pop_front();
  }
  co_return std::vector<run::Piece>(tail_.begin(), tail_.end());
}

Task<Status> Session::read_history(int64_t tokens) {
  std::deque<run::Piece> found;
  int64_t total = 0;
  std::string wanted = doc_.head_turn();
  uint64_t from = seq_;
  while (!wanted.empty() && from > 0 && total < tokens) {
    service::ReadRequest request;
    request.set_stream(session_stream(id()));
    request.set_from_seq(from);
    request.set_limit(kWalkRecords);
    request.set_descending(true);
    auto page = co_await world_.journal.read(std::move(request));
    if (!page.ok()) co_return page.status();
    if (page->records().empty()) break;
    for (const auto& record : page->records()) {
      from = record.seq() - 1;
      if (record.type() == "session_reset") wanted.clear();
      if (wanted.empty() || total >= tokens) break;
      tape::SessionEvent event;
      if (record.type() != "turn_added" || !event.ParseFromString(record.payload()) ||
          event.turn_added().turn_id() != wanted) {
        continue;
      }
      wanted = event.turn_added().parent();
      auto piece = co_await read_turn(world_.journal, event.turn_added());
      if (!piece.ok()) co_return piece.status();
      if (piece->messages.empty()) continue;
      total += piece->segment.tokens();
      found.push_front(std::move(*piece));
    }
  }
  tail_ = std::move(found);
  tail_tokens_ = total;
  co_return Status();
}

void Session::add_turn(run::Piece piece) {
  if (!tail_known_ && doc_.turns() > 1) return;
  tail_known_ = true;
  tail_tokens_ += piece.segment.tokens();
  tail_.push_back(std::move(piece));
}

void Session::forget_history() {
  tail_.clear();
  tail_tokens_ = 0;
  tail_known_ = true;
}

}  // namespace palyra::gateway
