// The effect that summarises older turns: what it covers, the model that writes it, the artifact.
#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/run/compaction.h"
#include "plugins/gateway/run/recover.h"
#include "plugins/gateway/run_loop/run_loop.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

constexpr size_t kSummaryBytes = 64 * 1024;

// What may be covered, and what it builds on.
struct Source {
  tape::CompactionArtifact previous;
  std::string previous_digest;
  tape::TurnRef previous_up_to;
  std::vector<HistoryTurn> turns;  // oldest first, without the newest
};

void take_turns(Source& source, History& history) {
  while (history.turns.size() > run::kKeptTurns) {
    source.turns.push_back(std::move(history.turns.front()));
    history.turns.pop_front();
  }
}

int64_t tokens_of(const std::vector<HistoryTurn>& turns) {
  int64_t sum = 0;
  for (const HistoryTurn& turn : turns) sum += turn.piece.segment.tokens();
  return sum;
}

// By command the originals are summarised again, also those that a summary stands for, if one
// request has room for them.
Task<Result<Source>> find_source(Journal& journal, std::shared_ptr<Session> session,
                                 bool by_command, int64_t window, int64_t room) {
  Source source;
  auto history = co_await session->history(window);
  if (!history.ok()) co_return history.status();
  if (by_command && history->summary) {
    auto originals = co_await session->originals(room * 2);
    if (!originals.ok()) co_return originals.status();
    take_turns(source, *originals);
    if (originals->complete && tokens_of(source.turns) <= room) co_return source;
    source.turns.clear();
  }
  if (history->summary) {
    auto blob = co_await journal.get_blob(history->compacted.artifact_digest());
    if (!blob.ok()) co_return blob.status();
    if (!source.previous.ParseFromString(*blob)) {
      co_return Status(Code::kDataLoss, "the artifact of the compaction before cannot be read");
    }
    source.previous_digest = history->compacted.artifact_digest();
    source.previous_up_to = history->compacted.up_to();
  }
  take_turns(source, *history);
  co_return source;
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
  const int64_t room = wanted.reserved_tokens - wanted.max_output_tokens;
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

  const int64_t window = co_await environment_.context_window(model);
  auto source =
      co_await find_source(environment_.world.journal, session_, by_command, window, room);
  if (ended_) co_return;
  if (!source.ok()) {
    failed.mutable_usage();
    give_up(source.status());
    co_return post(std::move(event));
  }
  std::vector<run::Piece> pieces;
  for (const HistoryTurn& turn : source->turns) pieces.push_back(turn.piece);
  run::CompactionPlan plan = run::plan_compaction(source->previous, pieces, model.substr(slash + 1),
                                                  room, wanted.max_output_tokens);
  if (plan.turns == 0 && source->previous.summary().empty()) {
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
  const ChatOutcome outcome = co_await environment_.world.providers.chat(
      model.substr(0, slash), std::move(plan.request), std::move(on_event), cancel);
  if (ended_ || state_.in_flight.count(wanted.ordinal) == 0) co_return;
  if (stopping_) co_return interrupt(wanted.ordinal, "the run was stopped");
  const bool too_long = text.size() > kSummaryBytes;
  if (too_long || !outcome.status.ok() || text.find_first_not_of(" \t\r\n") == std::string::npos) {
    Status status = outcome.status;
    if (too_long) {
      status = Status(Code::kOutOfRange, model + " wrote more than 64 KiB");
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
  *artifact.mutable_turns() = source->previous.turns();
  for (size_t i = 0; i < plan.turns; ++i) {
    artifact.add_turns(source->turns[i].at.turn_id());
  }
  artifact.set_previous_digest(source->previous_digest);
  artifact.set_summary(utf8::repaired(std::move(text)));
  artifact.set_model(model);
  artifact.set_created_at_ms(stamp() / kNanosPerMilli);
  artifact.set_provenance(plan.provenance);
  artifact.set_tokens_before(plan.tokens_before);
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
  *compacted.mutable_up_to() =
      plan.turns > 0 ? source->turns[plan.turns - 1].at : source->previous_up_to;
  compacted.set_run_id(state_.run_id());
  compacted.set_tokens_before(artifact.tokens_before());
  compacted.set_tokens_after(artifact.tokens_after());
  compacted.set_turns(static_cast<uint32_t>(artifact.turns_size()));

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
  ready_compaction_ = std::move(compacted);
  post(std::move(event));
}

}  // namespace palyra::gateway
