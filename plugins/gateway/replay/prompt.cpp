#include "plugins/gateway/replay/prompt.h"

#include "palyra/store/v1/session_view.pb.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace palyra::gateway::replay {

namespace {

// Where the content of a segment is if it is a blob; empty = elsewhere. The system prompt's is the
// agent's in tapes from before segments named theirs.
std::string blob_of(const tape::RunCreated& created, const tape::Segment& segment) {
  switch (segment.kind()) {
    case tape::SEGMENT_KIND_SYSTEM:
      return created.agent().system_prompt_digest();
    case tape::SEGMENT_KIND_PINNED:
    case tape::SEGMENT_KIND_SUMMARY:
      return segment.blob_digest();
    default:
      return {};
  }
}

void add_once(std::vector<std::string>& out, const std::string& word) {
  if (word.empty() || std::find(out.begin(), out.end(), word) != out.end()) return;
  out.push_back(word);
}

}  // namespace

std::vector<std::string> prompt_blobs(const std::vector<Record>& tape) {
  std::vector<std::string> out;
  tape::RunCreated created;
  for (const Record& record : tape) {
    if (record.event.has_run_created()) {
      created = record.event.run_created();
      add_once(out, created.agent().system_prompt_digest());
    }
    for (const auto& segment : record.event.context_gathered().segments()) {
      if (!segment.dropped()) add_once(out, blob_of(created, segment));
    }
  }
  return out;
}

std::vector<std::string> prompt_history(const std::vector<Record>& tape) {
  std::vector<std::string> out;
  for (const Record& record : tape) {
    for (const auto& segment : record.event.context_gathered().segments()) {
      if (segment.kind() == tape::SEGMENT_KIND_HISTORY && !segment.dropped()) {
        add_once(out, segment.stream());
      }
    }
  }
  return out;
}

std::optional<run::Piece> PromptChecker::from_blob(const run::State& state,
                                                   const tape::Segment& segment) const {
  const auto blob = sources_.blobs.find(blob_of(state.created, segment));
  if (blob == sources_.blobs.end()) return std::nullopt;
  if (segment.kind() == tape::SEGMENT_KIND_PINNED) {
    palyra::store::v1::PinnedFacts facts;
    if (!facts.ParseFromString(blob->second)) return std::nullopt;
    return run::pinned_piece({facts.facts().begin(), facts.facts().end()});
  }
  if (segment.kind() == tape::SEGMENT_KIND_SUMMARY) {
    tape::CompactionArtifact artifact;
    if (!artifact.ParseFromString(blob->second)) return std::nullopt;
    return run::summary_piece(artifact, segment.source());
  }
  return run::system_piece(blob->second, segment.source());
}

void PromptChecker::add(const run::State& state, const tape::ContextGathered& gathered) {
  // What comes from the run's own tape, in its order.
  std::deque<run::Piece> own = {run::input_piece(state)};
  for (run::Piece& piece : run::run_pieces(state, gathered.turn())) own.push_back(std::move(piece));
  std::vector<run::Piece> pieces;
  bool whole = true;  // every piece is here and as it was
  for (const tape::Segment& segment : gathered.segments()) {
    std::optional<run::Piece> piece;
    switch (segment.kind()) {
      case tape::SEGMENT_KIND_SYSTEM:
      case tape::SEGMENT_KIND_PINNED:
      case tape::SEGMENT_KIND_SUMMARY:
        piece = from_blob(state, segment);
        break;
      case tape::SEGMENT_KIND_HISTORY:
        if (const auto found = sources_.history.find(segment.stream());
            found != sources_.history.end()) {
          piece = found->second;
        }
        break;
      case tape::SEGMENT_KIND_INPUT:
      case tape::SEGMENT_KIND_RUN:
      case tape::SEGMENT_KIND_REPAIR:
        while (!own.empty() && own.front().segment.kind() != segment.kind()) own.pop_front();
        if (!own.empty()) {
          piece = std::move(own.front());
          own.pop_front();
        }
        break;
      default:
        break;
    }
    if (segment.dropped()) continue;
    ++segments_;
    const std::string where = "turn " + std::to_string(gathered.turn()) + ", " + segment.source();
    if (!piece) {
      missing_ = true;
      whole = false;
      note(where + " is not here, so its content cannot be compiled again");
    } else if (piece->segment.digest() != segment.digest()) {
      differs_ = true;
      whole = false;
      note(where + " compiles to something else than the model was shown");
    } else {
      ++verified_;
      pieces.push_back(std::move(*piece));
    }
  }
  if (!whole || sources_.catalogue_digest != gathered.catalogue_digest()) return;
  const std::string& model = state.created.agent().model();
  const size_t slash = model.find('/');
  const auto request = run::compile(pieces, sources_.tools,
                                    slash == std::string::npos ? model : model.substr(slash + 1),
                                    state.created.response_schema_json());
  if (run::request_digest(request) == gathered.request_digest()) return;
  differs_ = true;
  note("turn " + std::to_string(gathered.turn()) + ": the request compiles to something else");
}

void PromptChecker::finish(api::ReplayReport& report) const {
  report.set_segments(segments_);
  report.set_segments_verified(verified_);
  report.set_prompt_note(note_);
  if (differs_) {
    report.set_prompt(api::PROMPT_CHECK_DIFFERS);
  } else if (missing_) {
    report.set_prompt(api::PROMPT_CHECK_NOT_VERIFIABLE);
  } else if (segments_ > 0) {
    report.set_prompt(api::PROMPT_CHECK_VERIFIED);
  }
}

api::ReplayReport replay(const std::vector<Record>& records, const std::vector<uint64_t>& erased,
                         std::optional<PromptSources> sources,
                         const run::SchemaCheck& schema_check) {
  Checker checker(schema_check);
  const bool prompts = sources.has_value() && erased.empty();
  PromptChecker prompt(prompts ? std::move(*sources) : PromptSources());
  auto gone = erased.begin();
  for (const Record& record : records) {
    for (; gone != erased.end() && *gone < record.seq; ++gone) checker.add_erased(*gone);
    if (prompts && record.event.has_context_gathered()) {
      prompt.add(checker.state(), record.event.context_gathered());
    }
    checker.add(record.seq, record.wall_ns, record.event);
  }
  for (; gone != erased.end(); ++gone) checker.add_erased(*gone);
  api::ReplayReport report = checker.finish();
  if (prompts) prompt.finish(report);
  return report;
}

}  // namespace palyra::gateway::replay
