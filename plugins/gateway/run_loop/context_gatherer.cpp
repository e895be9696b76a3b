#include "plugins/gateway/run_loop/context_gatherer.h"

#include "palyra/store/v1/session_view.pb.h"
#include "plugins/gateway/run/compaction.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace palyra::gateway {
namespace {

void refer(run::Piece& piece, const std::string& stream, uint64_t first, uint64_t last) {
  if (!piece.segment.stream().empty()) return;
  piece.segment.set_stream(stream);
  piece.segment.set_first_seq(first);
  piece.segment.set_last_seq(last);
}

constexpr std::string_view kRunPrefix = "run/";

// A segment whose content is a blob or another run's tape; empty if that is gone.
Task<Result<std::optional<run::Piece>>> read_again(Environment& environment,
                                                   tape::Segment segment) {
  std::optional<run::Piece> piece;
  if (segment.kind() == tape::SEGMENT_KIND_HISTORY) {
    tape::TurnAdded turn;
    turn.set_run_id(segment.stream().substr(std::min(kRunPrefix.size(), segment.stream().size())));
    turn.set_first_seq(segment.first_seq());
    turn.set_last_seq(segment.last_seq());
    auto read = co_await read_turn(environment.world.journal, std::move(turn));
    if (!read.ok()) co_return read.status();
    if (!read->messages.empty()) piece = std::move(*read);
    co_return piece;
  }
  auto blob = co_await environment.world.journal.get_blob(segment.blob_digest());
  if (!blob.ok() && blob.status().code() != Code::kNotFound) co_return blob.status();
  if (!blob.ok()) co_return piece;
  if (segment.kind() == tape::SEGMENT_KIND_PINNED) {
    palyra::store::v1::PinnedFacts facts;
    if (facts.ParseFromString(*blob)) {
      piece = run::pinned_piece({facts.facts().begin(), facts.facts().end()});
    }
  } else if (segment.kind() == tape::SEGMENT_KIND_SUMMARY) {
    tape::CompactionArtifact artifact;
    if (artifact.ParseFromString(*blob)) piece = run::summary_piece(artifact, segment.source());
  } else {
    piece = run::system_piece(*blob, segment.source());
  }
  co_return piece;
}

}  // namespace

Task<Result<std::optional<run::Prompt>>> compile_again(Environment& environment,
                                                       const run::State& state,
                                                       tape::ContextGathered gathered) {
  std::optional<run::Prompt> request;
  std::deque<run::Piece> own = {run::input_piece(state)};
  for (run::Piece& piece : run::run_pieces(state, gathered.turn())) own.push_back(std::move(piece));
  const std::string model = model_name(state.created.agent());
  const std::string schema = state.created.response_schema_json();
  const auto tools = environment.offered(state.created.agent());
  std::vector<run::Piece> pieces;
  for (const tape::Segment& segment : gathered.segments()) {
    const bool of_run = segment.kind() == tape::SEGMENT_KIND_INPUT ||
                        segment.kind() == tape::SEGMENT_KIND_RUN ||
                        segment.kind() == tape::SEGMENT_KIND_REPAIR;
    std::optional<run::Piece> piece;
    if (of_run && !own.empty()) {
      piece = std::move(own.front());
      own.pop_front();
    }
    if (segment.dropped()) continue;
    if (!of_run) {
      auto read = co_await read_again(environment, segment);
      if (!read.ok()) co_return read.status();
      piece = std::move(*read);
    }
    if (!piece || piece->segment.digest() != segment.digest()) co_return request;
    pieces.push_back(std::move(*piece));
  }
  request = run::compile(pieces, tools->tools, model, schema);
  co_return request;
}

std::vector<service::ToolDefinition> offered_tools(const Catalogue& catalogue,
                                                   const tape::AgentSnapshot& agent) {
  const std::vector<std::string> allowed(agent.tools().begin(), agent.tools().end());
  std::vector<service::ToolDefinition> tools;
  for (const auto& [name, tool] : catalogue.tools) {
    if (!policy::matches_any(allowed, name)) continue;
    auto& definition = tools.emplace_back();
    definition.set_name(name);
    definition.set_description(tool.info.description());
    definition.set_input_schema_json(tool.info.input_schema_json());
  }
  return tools;
}

std::string model_name(const tape::AgentSnapshot& agent) {
  const size_t slash = agent.model().find('/');
  return slash == std::string::npos ? agent.model() : agent.model().substr(slash + 1);
}

Task<Result<Gathered>> gather_context(Environment& environment, std::shared_ptr<Session> session,
                                      const run::State& state, uint64_t ordinal, uint32_t turn) {
  const tape::AgentSnapshot& agent = state.created.agent();
  const std::string stream = run_stream(state.run_id());
  const int64_t window = co_await environment.context_window(agent.model());

  std::vector<run::Piece> pieces;
  if (!agent.system_prompt_digest().empty()) {
    auto prompt = co_await environment.text_blob(agent.system_prompt_digest());
    if (!prompt.ok()) co_return prompt.status();
    pieces.push_back(run::system_piece(*prompt, "agent " + agent.agent_id()));
    pieces.back().segment.set_blob_digest(agent.system_prompt_digest());
  }
  auto history = co_await session->history(window);
  if (!history.ok()) co_return history.status();
  if (history->pinned) pieces.push_back(std::move(*history->pinned));
  if (history->summary) pieces.push_back(std::move(*history->summary));
  const bool summarised = history->summary.has_value();
  for (auto& one : history->turns) pieces.push_back(std::move(one.piece));
  if (!state.compacts()) {
    pieces.push_back(run::input_piece(state));
    refer(pieces.back(), stream, 1, 1);
  }
  for (auto& piece : run::run_pieces(state, turn)) {
    refer(piece, stream, 1, state.last_seq);
    pieces.push_back(std::move(piece));
  }

  // A summary is written without tools.
  const auto tools = state.compacts() ? std::make_shared<const Environment::Offered>()
                                      : environment.offered(agent);
  const run::ContextPlan plan =
      run::plan_context(pieces, window, state.limits().max_output_tokens(), tools->tokens);
  const size_t turns = history->turns.size();
  const size_t kept = run::kept_turns(pieces, plan);
  const bool compaction_wanted =
      state.compacts() ? summarised || turns > kept || !history->complete
                       : run::compaction_wanted(pieces, plan, history->complete, kept);

  Gathered out;
  out.request =
      run::compile(pieces, tools->tools, model_name(agent), state.created.response_schema_json());
  out.event.set_ordinal(ordinal);
  out.event.set_turn(turn);
  for (auto& piece : pieces) *out.event.add_segments() = std::move(piece.segment);
  out.event.set_catalogue_digest(environment.world.tools.catalogue()->digest);
  out.event.set_policy_digest(environment.policy_digest());
  out.event.set_tokens(plan.tokens);
  out.event.set_budget_tokens(plan.budget_tokens);
  out.event.set_request_digest(run::request_digest(out.request));
  out.event.set_compaction_wanted(compaction_wanted);
  if (turns > 0) out.event.set_kept_turns(static_cast<uint32_t>(kept));
  co_return out;
}

}  // namespace palyra::gateway
