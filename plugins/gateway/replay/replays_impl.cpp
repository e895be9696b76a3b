#include "plugins/gateway/replay/replays_impl.h"

#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/policy/policy.h"
#include "plugins/gateway/replay/compare.h"
#include "plugins/gateway/replay/recording.h"
#include "plugins/gateway/run/evolve.h"
#include "plugins/gateway/session/documents.h"
#include "plugins/gateway/session/turns.h"
#include "plugins/gateway/session/validate.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

// Of one tape in memory.
constexpr size_t kTapeBytes = size_t{64} << 20;
constexpr size_t kPromptBytes = size_t{1} << 20;
// Of what the prompts of a run are made of, besides its own tape.
constexpr size_t kSourceBytes = size_t{64} << 20;

Status too_large(const std::string& run_id) {
  return Status(Code::kResourceExhausted, "the tape of run " + run_id +
                                              " is larger than 64 MiB; read it page by page with: "
                                              "palyra tape show " +
                                              run_id);
}

std::string run_of_stream(const std::string& stream) {
  return stream.substr(std::min(stream.find('/') + 1, stream.size()));
}

// Whether the same may befall every other tape: there is no journal just now.
bool of_the_journal(Code code) {
  return code == Code::kUnavailable || code == Code::kCancelled || code == Code::kDeadlineExceeded;
}

// The model of a repetition, "instance/model".
Result<std::string> changed_model(const std::string& before, const api::RepeatRunRequest& request) {
  const size_t slash = before.find('/');
  std::string instance = before.substr(0, slash);
  std::string model = slash == std::string::npos ? std::string() : before.substr(slash + 1);
  if (!request.model().empty()) {
    const size_t cut = request.model().find('/');
    if (cut != std::string::npos && !request.provider().empty()) {
      return Status(
          Code::kInvalidArgument,
          "model \"" + request.model() + "\" names its provider already; leave one of the two out");
    }
    if (cut != std::string::npos) return request.model();
    model = request.model();
  }
  if (!request.provider().empty()) instance = request.provider();
  return instance + "/" + model;
}

}  // namespace

Status records_missing(const std::string& stream, uint64_t first, uint64_t last) {
  const std::string range = first == last
                                ? "record " + std::to_string(first) + " of " + stream + " is"
                                : "records " + std::to_string(first) + " to " +
                                      std::to_string(last) + " of " + stream + " are";
  return {Code::kDataLoss, range + " missing; see what else is: palyra audit verify"};
}

Status too_many_replays() {
  return {Code::kResourceExhausted,
          std::to_string(kReplaysAtOnce) +
              " replays, comparisons or exports are under way already; try again when one of them "
              "is over"};
}

Status nobody_waits() { return {Code::kCancelled, "the client has left"}; }

Status erased_for(const std::string& run_id, std::string_view what) {
  return {Code::kFailedPrecondition,
          "records of run " + run_id + " were erased; it cannot be " + std::string(what)};
}

ReplaysImpl::ReplaysImpl(const World& world, Gateway& gateway, Repeats& repeats,
                         run::SchemaCheck schema_check, std::string version)
    : world_(world),
      gateway_(gateway),
      repeats_(repeats),
      schema_check_(std::move(schema_check)),
      version_(std::move(version)) {}

Task<Result<ReplaysImpl::Tape>> ReplaysImpl::load(std::string run_id) {
  Tape tape;
  const std::string stream = run_stream(run_id);
  size_t bytes = 0;
  uint64_t next = 1;
  for (;;) {
    service::ReadRequest request;
    request.set_stream(stream);
    request.set_from_seq(next);
    auto page = co_await world_.journal.read(std::move(request));
    if (!page.ok()) co_return page.status();
    for (const auto& record : page->records()) {
      if (record.seq() != next) co_return records_missing(stream, next, record.seq() - 1);
      next = record.seq() + 1;
      bytes += record.payload().size();
      if (bytes > kTapeBytes) co_return too_large(run_id);
      if (record.type() == "erased" || record.type() == "segment_closed") continue;
      if (record.erased()) {
        tape.erased.push_back(record.seq());
        continue;
      }
      replay::Record& one = tape.records.emplace_back();
      one.seq = record.seq();
      one.wall_ns = record.wall_time_ns();
      // What cannot be read folds as an unknown record.
      if (!one.event.ParseFromString(record.payload())) one.event.Clear();
    }
    if (next > page->head_seq()) break;
    if (page->records().empty()) co_return records_missing(stream, next, page->head_seq());
  }
  if (tape.records.empty() && tape.erased.empty()) {
    co_return Status(Code::kNotFound, "run " + run_id + " has no tape");
  }
  co_return tape;
}

Task<Result<run::State>> ReplaysImpl::fold(const std::vector<replay::Record>& tape,
                                           replay::Pace& pace) {
  run::State state;
  for (const auto& record : tape) {
    run::evolve(state, record.event, record.wall_ns, record.seq);
    if (!pace.add(record.event.ByteSizeLong())) continue;
    if (!co_await pace.rest()) co_return nobody_waits();
  }
  co_return std::move(state);
}

Task<Result<api::ReplayReport>> ReplaysImpl::checked(const Tape& tape,
                                                     std::optional<replay::PromptSources> sources,
                                                     bool over, replay::Pace& pace) {
  replay::Replayer replayer(tape.erased, std::move(sources), schema_check_);
  for (const auto& record : tape.records) {
    if (!pace.add(replayer.add(record))) continue;
    if (!co_await pace.rest()) co_return nobody_waits();
  }
  co_return replayer.finish(over);
}

Task<Result<api::RunComparison>> ReplaysImpl::compared(const std::vector<replay::Record>& left,
                                                       const std::vector<replay::Record>& right,
                                                       replay::Pace& pace) {
  const auto first = co_await fold(left, pace);
  if (!first.ok()) co_return first.status();
  const auto second = co_await fold(right, pace);
  if (!second.ok()) co_return second.status();
  replay::Steps one(left, *first);
  replay::Steps other(right, *second);
  for (replay::Steps* steps : {&one, &other}) {
    while (!steps->whole()) {
      if (!pace.add(steps->add())) continue;
      if (!co_await pace.rest()) co_return nobody_waits();
    }
  }
  co_return replay::compare(one, other);
}

// What the prompts of the run were made of, as far as it is here.
Task<Result<replay::PromptSources>> ReplaysImpl::sources(Caller caller,
                                                         const std::vector<replay::Record>& tape,
                                                         replay::Pace& pace) {
  replay::PromptSources out;
  size_t room = kSourceBytes;
  const auto state = co_await fold(tape, pace);
  if (!state.ok()) co_return state.status();
  const auto& agent = state->created.agent();
  for (const std::string& digest : replay::prompt_blobs(tape)) {
    auto blob = co_await world_.journal.get_blob(digest);
    if (!blob.ok() || blob->size() > room) continue;
    room -= blob->size();
    out.blobs[digest] = std::move(*blob);
  }
  for (const std::string& stream : replay::prompt_history(tape)) {
    api::GetRunRequest get;
    get.set_run_id(run_of_stream(stream));
    auto visible = co_await gateway_.get_run(caller, std::move(get));
    if (!visible.ok()) continue;
    auto earlier = co_await load(run_of_stream(stream));
    if (!earlier.ok() || !earlier->erased.empty()) continue;
    const auto shown = co_await fold(earlier->records, pace);
    if (!shown.ok()) co_return shown.status();
    run::Piece piece = run::history_piece(*shown, "");
    if (piece.messages.wire().size() > room) continue;
    room -= piece.messages.wire().size();
    out.history[stream] = std::move(piece);
  }
  const auto catalogue = world_.tools.catalogue();
  const std::vector<std::string> allowed(agent.tools().begin(), agent.tools().end());
  out.catalogue_digest = catalogue->digest;
  for (const auto& [name, tool] : catalogue->tools) {
    if (!policy::matches_any(allowed, name)) continue;
    auto& definition = out.tools.emplace_back();
    definition.set_name(name);
    definition.set_description(tool.info.description());
    definition.set_input_schema_json(tool.info.input_schema_json());
  }
  co_return out;
}

Task<Result<api::ReplayReport>> ReplaysImpl::replay_run(Caller caller,
                                                        api::ReplayRunRequest request) {
  const Seat seat(calls_);
  if (seat.crowded()) co_return too_many_replays();
  api::GetRunRequest get;
  get.set_run_id(request.run_id());
  auto run = co_await gateway_.get_run(caller, std::move(get));
  if (!run.ok()) co_return run.status();
  auto tape = co_await load(request.run_id());
  if (!tape.ok()) co_return tape.status();
  replay::Pace pace(world_.executor);
  auto pieces = co_await sources(std::move(caller), tape->records, pace);
  if (!pieces.ok()) co_return pieces.status();
  auto report = co_await checked(*tape, std::move(*pieces), ended(run->state()), pace);
  // An erased tape does not say whose it was.
  if (report.ok()) report->set_run_id(request.run_id());
  co_return report;
}

Task<Status> ReplaysImpl::replay_all(Caller caller, api::ReplayAllRequest request,
                                     Send<api::ReplayAllEvent> send) {
  const Seat seat(calls_);
  if (seat.crowded()) co_return too_many_replays();
  replay::Pace pace(world_.executor);
  api::ReplayAllSummary summary;
  api::ListRunsRequest list;
  list.set_session_id(request.session_id());
  list.set_page_size(100);
  bool more = true;
  while (more) {
    auto page = co_await gateway_.list_runs(caller, list);
    if (!page.ok()) co_return page.status();
    list.set_page_token(page->next_page_token());
    more = !page->next_page_token().empty();
    for (const auto& run : page->runs()) {
      // Newest first: what follows is older still.
      if (run.created_at_ms() < request.since_ms() ||
          (request.limit() > 0 && summary.runs() >= request.limit())) {
        more = false;
        break;
      }
      if (!ended(run.state())) continue;
      const auto tape = co_await load(run.run_id());
      api::ReplayAllEvent event;
      api::ReplayReport& report = *event.mutable_report();
      if (tape.ok()) {
        auto made = co_await checked(*tape, std::nullopt, true, pace);
        if (!made.ok()) co_return made.status();
        report = std::move(*made);
      } else {
        // One tape that is damaged hides no other.
        if (of_the_journal(tape.status().code())) co_return tape.status();
        report.set_verdict(api::REPLAY_VERDICT_UNREADABLE);
        report.set_problem(tape.status().message());
      }
      report.set_run_id(run.run_id());
      summary.set_runs(summary.runs() + 1);
      summary.set_compared(summary.compared() + report.compared());
      switch (report.verdict()) {
        case api::REPLAY_VERDICT_SAME:
          summary.set_same(summary.same() + 1);
          break;
        case api::REPLAY_VERDICT_OTHER_VERSION:
          summary.set_other_version(summary.other_version() + 1);
          break;
        case api::REPLAY_VERDICT_ERASED:
          summary.set_erased(summary.erased() + 1);
          break;
        case api::REPLAY_VERDICT_UNREADABLE:
          summary.set_unreadable(summary.unreadable() + 1);
          break;
        default:
          summary.set_diverged(summary.diverged() + 1);
      }
      if (!co_await send(std::move(event))) co_return Status();
    }
  }
  api::ReplayAllEvent event;
  *event.mutable_summary() = std::move(summary);
  co_await send(std::move(event));
  co_return Status();
}

Task<Result<api::RunComparison>> ReplaysImpl::compare_runs(Caller caller,
                                                           api::CompareRunsRequest request) {
  const Seat seat(calls_);
  if (seat.crowded()) co_return too_many_replays();
  api::GetRunRequest get;
  get.set_run_id(request.run_id());
  auto run = co_await gateway_.get_run(caller, get);
  if (!run.ok()) co_return run.status();
  auto right = co_await load(request.run_id());
  if (!right.ok()) co_return right.status();
  if (!right->erased.empty()) co_return erased_for(request.run_id(), "compared");
  replay::Pace pace(world_.executor);
  std::string other = request.other_run_id();
  if (other.empty()) {
    const auto state = co_await fold(right->records, pace);
    if (!state.ok()) co_return state.status();
    other = state->created.replay_of().run_id();
    if (other.empty()) {
      co_return Status(Code::kInvalidArgument, "run " + request.run_id() +
                                                   " repeats no other run; name the one to compare "
                                                   "it with");
    }
  }
  get.set_run_id(other);
  auto visible = co_await gateway_.get_run(caller, get);
  if (!visible.ok()) co_return visible.status();
  auto left = co_await load(other);
  if (!left.ok()) co_return left.status();
  if (!left->erased.empty()) co_return erased_for(other, "compared");
  co_return co_await compared(left->records, right->records, pace);
}

Task<Result<api::RepeatRunResponse>> ReplaysImpl::repeat_run(Caller caller,
                                                             api::RepeatRunRequest request) {
  const Seat seat(calls_);
  if (seat.crowded()) co_return too_many_replays();
  api::GetRunRequest get;
  get.set_run_id(request.run_id());
  auto run = co_await gateway_.get_run(caller, std::move(get));
  if (!run.ok()) co_return run.status();
  auto tape = co_await load(request.run_id());
  if (!tape.ok()) co_return tape.status();
  if (!tape->erased.empty()) co_return erased_for(request.run_id(), "repeated");
  replay::Pace pace(world_.executor);
  const auto state = co_await fold(tape->records, pace);
  if (!state.ok()) co_return state.status();
  auto parent = co_await parent_of(*state);
  if (!parent.ok()) co_return parent.status();
  co_return co_await repeat(std::move(caller), std::move(request), *state, std::move(*parent));
}

// The turn that the run was built on; none if it was the first, or is not here.
Task<Result<std::optional<tape::TurnRef>>> ReplaysImpl::parent_of(const run::State& state) {
  std::optional<tape::TurnRef> none;
  const std::string& turn = state.started.parent_turn();
  if (turn.empty()) co_return none;
  auto found = co_await find_turn(world_.journal, state.created.session_id(), turn);
  if (found.ok()) co_return std::optional<tape::TurnRef>(found->at);
  if (found.status().code() == Code::kNotFound) co_return none;
  co_return found.status();
}

Task<Result<api::RepeatRunResponse>> ReplaysImpl::repeat(Caller caller,
                                                         api::RepeatRunRequest request,
                                                         const run::State& state,
                                                         std::optional<tape::TurnRef> parent) {
  if (!caller.may("runs.write") && !caller.may("admin")) {
    co_return Status(Code::kPermissionDenied, "repeating a run needs the scope runs.write");
  }
  Status status = check_text("model", request.model(), 0, 256);
  if (status.ok()) status = check_text("provider", request.provider(), 0, 64);
  if (status.ok()) status = check_text("prompt", request.prompt(), 0, kPromptBytes);
  if (!status.ok()) co_return status;
  if (!state.exists()) {
    co_return Status(Code::kFailedPrecondition, "the tape does not begin with run_created");
  }
  if (state.compacts()) {
    co_return Status(Code::kInvalidArgument, "run " + state.run_id() +
                                                 " summarised its session; there is nothing in it "
                                                 "to repeat");
  }
  auto model = changed_model(state.created.agent().model(), request);
  if (!model.ok()) co_return model.status();

  Repetition repetition;
  repetition.created = state.created;
  repetition.created.mutable_agent()->set_model(*model);
  for (const run::Input& input : state.inputs) {
    tape::InputAdded& joined = repetition.inputs.emplace_back(input.added);
    joined.set_mode(tape::QUEUE_MODE_COLLECT);
    joined.clear_start_after_ms();
  }
  repetition.title = "replay of " + state.run_id();
  repetition.parent = std::move(parent);
  repetition.idempotency_key = request.idempotency_key();
  if (request.has_prompt()) {
    std::string digest;
    if (!request.prompt().empty()) {
      std::string text = request.prompt();
      auto stored = co_await world_.journal.put_blob(std::move(text));
      if (!stored.ok()) co_return stored.status();
      digest = std::move(*stored);
    }
    repetition.created.mutable_agent()->set_system_prompt_digest(digest);
  }
  auto& of = *repetition.created.mutable_replay_of();
  of.set_run_id(state.run_id());
  of.set_tools(request.tools() == tape::REPLAY_TOOLS_LIVE ? tape::REPLAY_TOOLS_LIVE
                                                          : tape::REPLAY_TOOLS_RECORDED);
  if (of.tools() == tape::REPLAY_TOOLS_RECORDED) {
    std::string recording = replay::record_of(state).SerializeAsString();
    auto stored = co_await world_.journal.put_blob(std::move(recording));
    if (!stored.ok()) co_return stored.status();
    of.set_recording_digest(*stored);
  }
  auto accepted = co_await repeats_.repeat(std::move(caller), std::move(repetition));
  if (!accepted.ok()) co_return accepted.status();
  api::RepeatRunResponse out;
  out.set_run_id(accepted->run_id);
  out.set_session_id(accepted->session_id);
  co_return out;
}

}  // namespace palyra::gateway
