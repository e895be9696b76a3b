// What went into each prompt of a run: from its tape, and compiled again to see that it is the
// same.
#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/run/evolve.h"
#include "plugins/gateway/session/gateway_impl.h"
#include "plugins/gateway/session/validate.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

constexpr size_t kContentBytes = 256 * 1024;
// Of all contents of one answer; a message is at most 4 MiB.
constexpr size_t kAllBytes = 3 * 1024 * 1024;

std::string_view role_words(service::Role role) {
  switch (role) {
    case service::ROLE_SYSTEM:
      return "system";
    case service::ROLE_USER:
      return "user";
    case service::ROLE_ASSISTANT:
      return "assistant";
    default:
      return "tool";
  }
}

std::string content_of(const run::Piece& piece) {
  std::string out;
  for (const auto& message : piece.messages.parsed()) {
    out += "[";
    out += role_words(message.role());
    out += "] " + message.text() + "\n";
    for (const auto& call : message.tool_calls()) {
      out += "[calls " + call.name() + "] " + call.arguments_json() + "\n";
    }
  }
  return std::string(utf8::prefix(out, kContentBytes));
}

std::string name_of(const tape::Segment& segment) {
  return segment.source().empty() ? "a segment without a name" : segment.source();
}

}  // namespace

// The piece that the segment was made from; `nth` of those of the run itself.
Task<Result<run::Piece>> GatewayImpl::compile_again(std::shared_ptr<const run::State> state,
                                                    tape::Segment segment, size_t nth) {
  Journal& journal = environment_.world.journal;
  switch (segment.kind()) {
    case tape::SEGMENT_KIND_SYSTEM: {
      auto blob = co_await journal.get_blob(state->created.agent().system_prompt_digest());
      if (!blob.ok()) co_return blob.status();
      co_return run::system_piece(*blob, segment.source());
    }
    case tape::SEGMENT_KIND_PINNED: {
      auto blob = co_await journal.get_blob(segment.blob_digest());
      store::PinnedFacts facts;
      if (!blob.ok()) co_return blob.status();
      if (!facts.ParseFromString(*blob)) {
        co_return Status(Code::kDataLoss, "the blob of the pinned facts cannot be read");
      }
      co_return run::pinned_piece({facts.facts().begin(), facts.facts().end()});
    }
    case tape::SEGMENT_KIND_SUMMARY: {
      auto blob = co_await journal.get_blob(segment.blob_digest());
      tape::CompactionArtifact artifact;
      if (!blob.ok()) co_return blob.status();
      if (!artifact.ParseFromString(*blob)) {
        co_return Status(Code::kDataLoss, "the artifact of the compaction cannot be read");
      }
      co_return run::summary_piece(artifact, segment.source());
    }
    case tape::SEGMENT_KIND_HISTORY: {
      tape::TurnAdded turn;
      constexpr std::string_view kPrefix = "run/";
      if (segment.stream().rfind(kPrefix, 0) != 0) {
        co_return Status(Code::kDataLoss, "it names no run");
      }
      turn.set_run_id(segment.stream().substr(kPrefix.size()));
      turn.set_first_seq(segment.first_seq());
      turn.set_last_seq(segment.last_seq());
      auto piece = co_await read_turn(journal, std::move(turn));
      if (piece.ok()) piece->segment.set_source(segment.source());
      co_return piece;
    }
    default:
      break;
  }
  const run::Turn* turn = state->turn();
  std::vector<run::Piece> own = {run::input_piece(*state)};
  for (auto& piece : run::run_pieces(*state, turn == nullptr ? 1 : turn->number)) {
    own.push_back(std::move(piece));
  }
  if (nth >= own.size()) co_return Status(Code::kDataLoss, "the run's tape does not have it");
  co_return std::move(own[nth]);
}

Task<Status> GatewayImpl::explain_full(std::shared_ptr<const run::State> state,
                                       tape::ContextGathered gathered, api::ExplainedContext* out) {
  std::vector<run::Piece> pieces;
  size_t own = 0;
  for (auto& explained : *out->mutable_segments()) {
    const tape::Segment segment = explained.segment();
    const bool of_run = segment.kind() == tape::SEGMENT_KIND_INPUT ||
                        segment.kind() == tape::SEGMENT_KIND_RUN ||
                        segment.kind() == tape::SEGMENT_KIND_REPAIR;
    auto piece = co_await compile_again(state, segment, of_run ? own++ : 0);
    if (!piece.ok()) {
      if (out->detail().empty()) {
        out->set_detail(name_of(segment) + " cannot be had: " + piece.status().message());
      }
      continue;
    }
    explained.set_content(content_of(*piece));
    explained.set_same(piece->segment.digest() == segment.digest());
    if (!explained.same() && out->detail().empty()) {
      out->set_detail(name_of(segment) + " is not what it was");
    }
    piece->segment.set_dropped(segment.dropped());
    pieces.push_back(std::move(*piece));
  }
  if (!out->detail().empty()) co_return Status();

  const auto catalogue = environment_.world.tools.catalogue();
  if (catalogue->digest != gathered.catalogue_digest()) {
    out->set_detail(
        "every segment is what it was; the tools offered now are others, so that the request as a "
        "whole cannot be compared");
    co_return Status();
  }
  const tape::AgentSnapshot& agent = state->created.agent();
  const auto tools =
      state->compacts() ? std::vector<service::ToolDefinition>() : offered_tools(*catalogue, agent);
  const auto request =
      run::compile(pieces, tools, model_name(agent), state->created.response_schema_json());
  out->set_as_sent(run::request_digest(request) == gathered.request_digest());
  if (!out->as_sent()) {
    out->set_detail("every segment is what it was, and yet the request as a whole is not");
  }
  co_return Status();
}

Task<Result<api::ExplainRunResponse>> GatewayImpl::explain_run(Caller caller,
                                                               api::ExplainRunRequest request) {
  auto run = co_await visible_run(std::move(caller), request.run_id());
  if (!run.ok()) co_return run.status();
  api::ExplainRunResponse out;
  out.set_run_id(request.run_id());
  const auto state = std::make_shared<run::State>();
  uint64_t next = 1;
  size_t bytes = 0;
  bool erased = false;
  for (;;) {
    service::ReadRequest read;
    read.set_stream(run_stream(request.run_id()));
    read.set_from_seq(next);
    auto page = co_await environment_.world.journal.read(std::move(read));
    if (!page.ok()) co_return page.status();
    for (const auto& record : page->records()) {
      next = record.seq() + 1;
      erased = erased || record.erased();
      tape::RunEvent event;
      if (record.erased() || !event.ParseFromString(record.payload())) event.Clear();
      if (event.has_context_gathered()) {
        const auto& gathered = event.context_gathered();
        const run::Turn* turn = state->turn();
        const uint32_t number = turn != nullptr ? turn->number : gathered.turn();
        if (request.turn() == 0 || request.turn() == number) {
          auto& context = *out.add_contexts();
          context.set_seq(record.seq());
          context.set_turn(number);
          context.set_time_ms(record.wall_time_ns() / kNanosPerMilli);
          context.set_model(state->created.agent().model());
          context.set_tokens(gathered.tokens());
          context.set_budget_tokens(gathered.budget_tokens());
          context.set_compaction_wanted(gathered.compaction_wanted() && !state->compacts());
          int64_t kept = 0;
          int64_t dropped = 0;
          for (const auto& segment : gathered.segments()) {
            *context.add_segments()->mutable_segment() = segment;
            (segment.dropped() ? dropped : kept) += segment.tokens();
          }
          context.set_tool_tokens(std::max<int64_t>(gathered.tokens() - kept, 0));
          context.set_dropped_tokens(dropped);
          if (request.full() && bytes > kAllBytes) {
            context.set_detail("the answer is full: ask for this turn alone");
          } else if (request.full()) {
            const Status status = co_await explain_full(state, gathered, &context);
            if (!status.ok()) co_return status;
            for (const auto& segment : context.segments()) bytes += segment.content().size();
          }
        }
      }
      if (event.has_compaction_started()) {
        const auto& started = event.compaction_started();
        auto& compaction = *out.add_compactions();
        compaction.set_seq(record.seq());
        compaction.set_turn(started.turn());
        compaction.set_trigger(started.trigger());
        compaction.set_model(started.model());
      } else if (out.compactions_size() > 0 && event.has_compaction_finished()) {
        auto& compaction = *out.mutable_compactions(out.compactions_size() - 1);
        *compaction.mutable_finished() = event.compaction_finished();
        if (request.full()) {
          auto blob = co_await environment_.world.journal.get_blob(
              event.compaction_finished().artifact_digest());
          tape::CompactionArtifact artifact;
          if (blob.ok() && artifact.ParseFromString(*blob)) {
            compaction.set_summary(artifact.summary());
          }
        }
      } else if (out.compactions_size() > 0 && event.has_compaction_failed()) {
        *out.mutable_compactions(out.compactions_size() - 1)->mutable_failure() =
            event.compaction_failed().failure();
      }
      run::evolve(*state, event, record.wall_time_ns(), record.seq());
    }
    if (page->records().empty() || next > page->head_seq()) break;
  }
  if (erased && out.contexts().empty()) {
    co_return Status(Code::kNotFound,
                     "what was said in run " + request.run_id() +
                         " is erased, so that its prompts cannot be shown; what is left: palyra "
                         "tape show " +
                         request.run_id());
  }
  if (request.turn() != 0 && out.contexts().empty()) {
    co_return Status(Code::kNotFound,
                     "run " + request.run_id() + " has no turn " + std::to_string(request.turn()));
  }
  co_return out;
}

}  // namespace palyra::gateway
