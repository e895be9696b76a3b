// The effect that summarises older turns: what it covers, the model that writes it, the artifact.
#include "plugins/common/tokens/tokens.h"
#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/run/compaction.h"
#include "plugins/gateway/run/recover.h"
#include "plugins/gateway/run_loop/run_loop.h"
#include "plugins/gateway/session/uncovered.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace palyra::gateway {
namespace {

constexpr size_t kSummaryBytes = 64 * 1024;
// How far a run that nobody asked to compact looks for the end of the last summary, behind the
// turns that it shows: an answer must not take longer because there are many turns without one.
constexpr size_t kMostBehind = 512;

// What one request covers, and what it builds on.
struct Step {
  tape::CompactionArtifact previous;
  std::string previous_digest;
  tape::TurnRef up_to;  // the last turn covered; before any, that of `previous`
  std::vector<std::string> turns;
  bool more = false;  // there are others behind them
  run::CompactionPlan plan;
};

// Tokens.
struct Room {
  int64_t input;
  int64_t output;
};

// Newest turns that stay as they are.
struct Kept {
  size_t turns;
  size_t shown;  // all that the context has
};

Kept kept_of(const run::Turn& turn) {
  size_t shown = 0;
  for (const tape::Segment& segment : turn.gathered.segments()) {
    shown += segment.kind() == tape::SEGMENT_KIND_HISTORY ? 1 : 0;
  }
  const size_t turns = run::kept_turns(turn.gathered, turn.compact);
  return {turns, shown};
}

// The originals once more, also those that a summary stands for; none unless one request has room
// for all of them.
Task<Result<std::optional<Step>>> again(std::shared_ptr<Session> session, std::string model,
                                        Room room, size_t kept) {
  auto originals = co_await session->originals(room.input * 2);
  if (!originals.ok()) co_return originals.status();
  if (!originals->complete) co_return std::optional<Step>();
  Step step;
  run::CompactionPlanner planner(step.previous, room.input, room.output);
  int64_t tokens = 0;
  while (originals->turns.size() > kept) {
    const HistoryTurn& turn = originals->turns.front();
    tokens += turn.piece.segment.tokens();
    if (tokens > room.input || !planner.add(turn.piece)) co_return std::optional<Step>();
    step.turns.push_back(turn.at.turn_id());
    step.up_to = turn.at;
    originals->turns.pop_front();
  }
  if (step.turns.empty()) co_return std::optional<Step>();
  step.plan = planner.finish(model);
  co_return std::optional<Step>(std::move(step));
}

// As many of the oldest of these turns as one request has room for.
Task<Result<Step>> plan_step(UncoveredTurns& turns, std::shared_ptr<Session> session,
                             std::string model, Room room, Kept kept, bool originals) {
  Step step;
  if (!turns.behind().artifact_digest().empty()) {
    if (originals) {
      // What is summarised already is in the new summary, too.
      auto whole = co_await again(session, model, room, std::min(kept.turns, kept.shown));
      if (!whole.ok()) co_return whole.status();
      if (*whole) co_return std::move(**whole);
    }
    step.previous = turns.artifact();
    step.previous_digest = turns.behind().artifact_digest();
    step.up_to = turns.behind().up_to();
  }
  run::CompactionPlanner planner(step.previous, room.input, room.output);
  for (;;) {
    auto turn = co_await turns.next();
    if (!turn.ok()) co_return turn.status();
    if (!*turn) break;
    step.more = !planner.add((*turn)->piece);
    if (step.more) {
      turns.put_back(std::move(**turn));
      break;
    }
    step.turns.push_back((*turn)->at.turn_id());
    step.up_to = (*turn)->at;
  }
  step.plan = planner.finish(model);
  co_return step;
}

// Whether the compaction before the one under way is this one.
bool follows(const run::State& state, const tape::Compacted& compacted) {
  const size_t count = state.compactions.size();
  return count > 1 &&
         state.compactions[count - 2].finished.artifact_digest() == compacted.artifact_digest();
}

// Nothing, if the provider refused before it began to write.
bool costs_nothing(const Status& status) {
  return status.code() == Code::kInvalidArgument || status.code() == Code::kNotFound ||
         status.code() == Code::kUnauthenticated || status.code() == Code::kPermissionDenied ||
         status.code() == Code::kFailedPrecondition || status.code() == Code::kResourceExhausted ||
         status.code() == Code::kOutOfRange;
}

}  // namespace

Task<void> RunLoop::run_compaction(run::Wanted wanted) {
  const auto self = shared_from_this();
  const CancelToken cancel = flights_[wanted.ordinal].cancel;
  const std::string model = state_.created.agent().model();
  const size_t slash = model.find('/');
  const bool by_command = state_.compacts();

  tape::RunEvent event;
  auto& failed = *event.mutable_compaction_failed();
  failed.set_ordinal(wanted.ordinal);
  failed.set_attempt(wanted.attempt);
  failed.set_turn(by_command ? 0 : wanted.turn);
  const auto give_up = [&failed](const Status& status) {
    failed.mutable_failure()->set_code(static_cast<int32_t>(status.code()));
    failed.mutable_failure()->set_message("the history was not compacted: " + status.message());
    failed.mutable_failure()->set_retryable(status.retryable());
  };

  Room room{};
  room.output = wanted.max_output_tokens;
  room.input = wanted.reserved_tokens - wanted.max_output_tokens;
  // A step that follows another one goes on where that one stopped.
  const bool originals = by_command && state_.compactions.size() == 1;
  const Kept kept = kept_of(*state_.turn());
  Result<Step> planned = Step();
  std::unique_ptr<UncoveredTurns> turns = std::exchange(uncovered_, nullptr);
  if (!turns || turns->kept() != kept.turns || !follows(state_, turns->behind())) {
    const size_t most = by_command ? SIZE_MAX : kept.shown + kMostBehind;
    turns =
        std::make_unique<UncoveredTurns>(environment_.world.journal, session_, kept.turns, most);
    if (Status found = co_await turns->find(); !found.ok()) planned = found;
  }
  if (planned.ok() && !ended_) {
    planned = co_await plan_step(*turns, session_, model.substr(slash + 1), room, kept, originals);
  }
  if (ended_) co_return;
  if (!planned.ok()) {
    failed.mutable_usage();
    give_up(planned.status());
    co_return post(std::move(event));
  }
  Step step = std::move(*planned);
  if (step.plan.turns == 0 && step.previous.summary().empty()) {
    failed.mutable_usage();
    give_up(Status(Code::kFailedPrecondition, "there are no turns that a summary could stand for"));
    co_return post(std::move(event));
  }

  std::string text;
  std::function<void(const service::ChatEvent&)> on_event =
      [self, &text, cancel](const service::ChatEvent& said) {
        if (!said.has_text_delta() || text.size() > kSummaryBytes) return;
        text += said.text_delta();
        if (text.size() > kSummaryBytes) cancel.cancel();
      };
  Serialised<service::ChatRequest> request;
  request.bytes = step.plan.request.SerializeAsString();
  const ChatOutcome outcome = co_await environment_.world.providers.chat(
      model.substr(0, slash), std::move(request), std::move(on_event), cancel);
  if (ended_ || state_.in_flight.count(wanted.ordinal) == 0) co_return;
  if (stopping_) co_return interrupt(wanted.ordinal, "the run was stopped");
  const bool too_long = text.size() > kSummaryBytes;
  const bool longer = tokens::estimate(text) >= step.plan.tokens_before;
  if (too_long || longer || !outcome.status.ok() ||
      text.find_first_not_of(" \t\r\n") == std::string::npos) {
    Status status = outcome.status;
    if (too_long) {
      status = Status(Code::kOutOfRange, model + " wrote more than 64 KiB");
    } else if (status.ok() && longer) {
      status = Status(Code::kOutOfRange,
                      model + " wrote a summary that is not shorter than what it stands for (" +
                          std::to_string(step.plan.tokens_before) + " tokens)");
    } else if (status.ok()) {
      status = Status(Code::kFailedPrecondition, model + " wrote no summary");
    }
    if (outcome.status.ok()) {
      *failed.mutable_usage() = outcome.result.usage();
    } else if (outcome.failure.has_usage()) {
      *failed.mutable_usage() = outcome.failure.usage();
    } else if (costs_nothing(outcome.status)) {
      failed.mutable_usage();
    }
    give_up(status);
    co_return post(std::move(event));
  }

  tape::CompactionArtifact artifact;
  artifact.set_session_id(session_->id());
  for (std::string& turn : step.turns) artifact.add_turns(std::move(turn));
  artifact.set_covered(run::covered_turns(step.previous) +
                       static_cast<uint32_t>(artifact.turns_size()));
  artifact.set_previous_digest(step.previous_digest);
  artifact.set_summary(utf8::repaired(std::move(text)));
  artifact.set_model(model);
  artifact.set_created_at_ms(stamp() / kNanosPerMilli);
  artifact.set_provenance(step.plan.provenance);
  artifact.set_tokens_before(step.plan.tokens_before);
  artifact.set_tokens_after(run::summary_piece(artifact, "").segment.tokens());
  std::string digest;
  for (int64_t backoff = 100 * kNanosPerMilli; digest.empty();) {
    auto stored = co_await environment_.world.journal.put_blob(artifact.SerializeAsString());
    if (ended_ || environment_.stopping) co_return;
    if (stored.ok()) {
      digest = *stored;
      break;
    }
    co_await sleep_until(environment_.world.executor,
                         environment_.world.clock.mono_now() + backoff);
    if (ended_ || environment_.stopping) co_return;
    backoff = std::min<int64_t>(backoff * 2, 5 * kNanosPerSecond);
  }
  if (state_.in_flight.count(wanted.ordinal) == 0) co_return;

  tape::Compacted compacted;
  compacted.set_artifact_digest(digest);
  *compacted.mutable_up_to() = step.up_to;
  compacted.set_run_id(state_.run_id());
  compacted.set_tokens_before(artifact.tokens_before());
  compacted.set_tokens_after(artifact.tokens_after());
  compacted.set_turns(artifact.covered());

  event.Clear();
  auto& finished = *event.mutable_compaction_finished();
  finished.set_ordinal(wanted.ordinal);
  finished.set_attempt(wanted.attempt);
  finished.set_artifact_digest(digest);
  finished.set_up_to_turn(compacted.up_to().turn_id());
  finished.set_turns(compacted.turns());
  finished.set_tokens_before(compacted.tokens_before());
  finished.set_tokens_after(compacted.tokens_after());
  *finished.mutable_usage() = outcome.result.usage();
  finished.set_turn(by_command ? 0 : wanted.turn);
  finished.set_more(step.more);
  if (step.more) {
    turns->cover(compacted, std::move(artifact));
    uncovered_ = std::move(turns);
  }
  ready_compaction_ = std::move(compacted);
  post(std::move(event));
}

}  // namespace palyra::gateway
