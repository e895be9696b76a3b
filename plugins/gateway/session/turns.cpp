#include "plugins/gateway/session/turns.h"

#include "plugins/gateway/run/evolve.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

constexpr uint32_t kWalkRecords = 64;
// Of one earlier run as context; a longer tape ends with its last records missing.
constexpr uint64_t kRunBytes = 4 * 1024 * 1024;
// Sessions that a session may be a branch of a branch of ...
constexpr int kBranches = 1'000;

}  // namespace

TurnWalk::TurnWalk(Journal& journal, tape::TurnRef from)
    : journal_(journal), wanted_(std::move(from)) {}

Task<Status> TurnWalk::read(uint64_t from_seq) {
  page_.clear();
  page_session_ = wanted_.session_id();
  service::ReadRequest request;
  request.set_stream(session_stream(page_session_));
  request.set_from_seq(from_seq);
  request.set_limit(kWalkRecords);
  request.set_descending(true);
  auto page = co_await journal_.read(std::move(request));
  if (!page.ok()) co_return page.status();
  for (auto& record : *page->mutable_records()) page_[record.seq()] = std::move(record);
  co_return Status();
}

Task<Result<std::optional<FoundTurn>>> TurnWalk::search() {
  const std::string id = wanted_.turn_id();
  Status status = co_await read(below_);
  while (status.ok() && !page_.empty()) {
    for (auto record = page_.rbegin(); record != page_.rend(); ++record) {
      // Older records did not lead across a reset either.
      if (record->second.type() == "session_reset") co_return std::optional<FoundTurn>();
      tape::SessionEvent event;
      if (record->second.type() != "turn_added" ||
          !event.ParseFromString(record->second.payload()) || event.turn_added().turn_id() != id) {
        continue;
      }
      FoundTurn found;
      found.at = wanted_;
      found.at.set_seq(record->first);
      found.turn = event.turn_added();
      found.wall_time_ns = record->second.wall_time_ns();
      co_return std::optional<FoundTurn>(std::move(found));
    }
    const uint64_t first = page_.begin()->first;
    if (first <= 1) break;
    status = co_await read(first - 1);
  }
  if (!status.ok()) co_return status;
  co_return std::optional<FoundTurn>();
}

Task<Result<std::optional<FoundTurn>>> TurnWalk::next() {
  std::optional<FoundTurn> found;
  if (wanted_.turn_id().empty()) co_return found;
  if (wanted_.seq() == 0) {
    auto searched = co_await search();
    if (!searched.ok()) co_return searched.status();
    found = std::move(*searched);
  } else {
    if (page_session_ != wanted_.session_id() || page_.count(wanted_.seq()) == 0) {
      const Status status = co_await read(wanted_.seq());
      if (!status.ok()) co_return status;
    }
    const auto record = page_.find(wanted_.seq());
    tape::SessionEvent event;
    if (record != page_.end() && record->second.type() == "turn_added" &&
        event.ParseFromString(record->second.payload()) &&
        event.turn_added().turn_id() == wanted_.turn_id()) {
      found.emplace();
      found->at = wanted_;
      found->turn = event.turn_added();
      found->wall_time_ns = record->second.wall_time_ns();
    }
  }
  if (!found) {
    wanted_.Clear();
    co_return found;
  }
  if (found->turn.parent_at().seq() != 0) {
    wanted_ = found->turn.parent_at();
  } else {
    wanted_.set_turn_id(found->turn.parent());
    wanted_.set_seq(0);
    below_ = found->at.seq() - 1;
    if (below_ == 0) wanted_.Clear();
  }
  co_return found;
}

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
  run::Piece piece = state.exists()
                         ? run::history_piece(state, "turn " + turn.turn_id())
                         : run::make_piece(tape::SEGMENT_KIND_HISTORY, "turn " + turn.turn_id(),
                                           palyra::common::v1::PROVENANCE_UNTRUSTED, {});
  piece.segment.set_stream(run_stream(turn.run_id()));
  piece.segment.set_first_seq(turn.first_seq());
  piece.segment.set_last_seq(turn.last_seq());
  co_return piece;
}

api::TurnInfo turn_info(const FoundTurn& found) {
  api::TurnInfo info;
  info.set_turn_id(found.at.turn_id());
  info.set_parent(found.turn.parent());
  info.set_run_id(found.turn.run_id());
  info.set_session_id(found.at.session_id());
  info.set_time_ms(found.wall_time_ns / kNanosPerMilli);
  info.set_tokens(found.turn.tokens());
  return info;
}

Task<Result<tape::TurnRef>> branched_from(Journal& journal, std::string session_id) {
  uint64_t next = 1;
  for (;;) {
    service::ReadRequest request;
    request.set_stream(session_stream(session_id));
    request.set_from_seq(next);
    request.set_limit(kWalkRecords);
    auto page = co_await journal.read(std::move(request));
    if (!page.ok()) co_return page.status();
    if (page->records().empty()) co_return tape::TurnRef();
    for (const auto& record : page->records()) {
      next = record.seq() + 1;
      tape::SessionEvent event;
      if (record.erased() || !event.ParseFromString(record.payload())) continue;
      if (event.has_session_created()) co_return event.session_created().branched_from();
      if (event.has_turn_added()) co_return event.turn_added().parent_at();
    }
  }
}

Task<Result<FoundTurn>> find_turn(Journal& journal, std::string session_id, std::string turn_id) {
  std::string session = session_id;
  uint64_t from = 0;  // the end
  for (int depth = 0; depth < kBranches; ++depth) {
    for (;;) {
      service::ReadRequest request;
      request.set_stream(session_stream(session));
      request.set_from_seq(from);
      request.set_descending(true);
      auto page = co_await journal.read(std::move(request));
      if (!page.ok()) co_return page.status();
      if (page->records().empty()) break;
      for (const auto& record : page->records()) {
        from = record.seq() - 1;
        tape::SessionEvent event;
        if (record.type() != "turn_added" || !event.ParseFromString(record.payload()) ||
            event.turn_added().turn_id() != turn_id) {
          continue;
        }
        FoundTurn found;
        found.at.set_turn_id(turn_id);
        found.at.set_session_id(session);
        found.at.set_seq(record.seq());
        found.turn = event.turn_added();
        found.wall_time_ns = record.wall_time_ns();
        co_return found;
      }
      if (from == 0) break;
    }
    auto origin = co_await branched_from(journal, session);
    if (!origin.ok()) co_return origin.status();
    if (origin->seq() == 0) break;
    session = origin->session_id();
    from = origin->seq();
  }
  co_return Status(Code::kNotFound, "there is no turn " + turn_id + " in session " + session_id +
                                        "; see: palyra sessions turns " + session_id);
}

}  // namespace palyra::gateway
