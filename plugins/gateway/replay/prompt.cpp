#include "plugins/gateway/replay/prompt.h"

#include "palyra/store/v1/session_view.pb.h"
#include "plugins/common/utf8/utf8.h"

#include <deque>
#include <set>
#include <utility>

namespace palyra::gateway::replay {

namespace {

constexpr size_t kNoteBytes = 512;
// Of a piece, besides its bytes.
constexpr size_t kPieceBytes = 1024;

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

// Words, each once, in the order in which they came.
class Once {
 public:
  void add(const std::string& word) {
    if (!word.empty() && seen_.insert(word).second) words_.push_back(word);
  }
  std::vector<std::string> take() { return std::move(words_); }

 private:
  std::set<std::string> seen_;
  std::vector<std::string> words_;
};

// What messages of the run are made of.
bool is_said(const tape::RunEvent& event) { return !event.has_context_gathered(); }

}  // namespace

std::vector<std::string> prompt_blobs(const std::vector<Record>& tape) {
  Once out;
  tape::RunCreated created;
  for (const Record& record : tape) {
    if (record.event.has_run_created()) {
      created = record.event.run_created();
      out.add(created.agent().system_prompt_digest());
    }
    for (const auto& segment : record.event.context_gathered().segments()) {
      if (!segment.dropped()) out.add(blob_of(created, segment));
    }
  }
  return out.take();
}

std::vector<std::string> prompt_history(const std::vector<Record>& tape) {
  Once out;
  for (const Record& record : tape) {
    for (const auto& segment : record.event.context_gathered().segments()) {
      if (segment.kind() == tape::SEGMENT_KIND_HISTORY && !segment.dropped()) {
        out.add(segment.stream());
      }
    }
  }
  return out.take();
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

void PromptChecker::note(std::string words) {
  if (note_.empty()) note_ = std::string(utf8::prefix(words, kNoteBytes));
}

// Known before anything is compiled: a record can name the same long text many times.
size_t PromptChecker::cost(const run::State& state, const tape::ContextGathered& gathered,
                           size_t said) const {
  size_t bytes = said + state.turns.size() * kPieceBytes;
  for (const tape::Segment& segment : gathered.segments()) {
    bytes += kPieceBytes;
    if (const auto blob = sources_.blobs.find(blob_of(state.created, segment));
        blob != sources_.blobs.end()) {
      bytes += blob->second.size();
    }
    if (segment.kind() != tape::SEGMENT_KIND_HISTORY) continue;
    if (const auto found = sources_.history.find(segment.stream());
        found != sources_.history.end()) {
      bytes += found->second.messages.wire().size();
    }
  }
  return bytes;
}

size_t PromptChecker::add(const run::State& state, const tape::ContextGathered& gathered,
                          size_t said) {
  const auto effect = state.in_flight.find(gathered.ordinal());
  if (!state.corrupt.empty() || effect == state.in_flight.end() ||
      effect->second.kind != run::EffectKind::kContext) {
    return 0;
  }
  const size_t bytes = cost(state, gathered, said);
  if (bytes > kPromptBytes || bytes > limit_ - compiled_) {
    for (const tape::Segment& segment : gathered.segments()) {
      if (!segment.dropped()) ++segments_;
    }
    missing_ = true;
    note("turn " + std::to_string(gathered.turn()) +
         (bytes > kPromptBytes ? " is larger than 32 MiB and was not compiled again"
                               : " and what follows was not compiled again: the prompts of this "
                                 "run are larger than 1 GiB in all"));
    return 0;
  }
  compiled_ += bytes;
  compile(state, gathered);
  return bytes;
}

void PromptChecker::compile(const run::State& state, const tape::ContextGathered& gathered) {
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

Replayer::Replayer(std::vector<uint64_t> erased, std::optional<PromptSources> sources,
                   run::SchemaCheck schema_check)
    : erased_(std::move(erased)),
      prompts_(sources.has_value() && erased_.empty()),
      checker_(std::move(schema_check)),
      prompt_(prompts_ ? std::move(*sources) : PromptSources()) {}

size_t Replayer::add(const Record& record) {
  for (; gone_ < erased_.size() && erased_[gone_] < record.seq; ++gone_) {
    checker_.add_erased(erased_[gone_]);
  }
  const size_t bytes = record.event.ByteSizeLong();
  size_t compiled = 0;
  if (prompts_ && record.event.has_context_gathered()) {
    compiled = prompt_.add(checker_.state(), record.event.context_gathered(), said_);
  }
  if (is_said(record.event)) said_ += bytes;
  checker_.add(record.seq, record.wall_ns, record.event);
  return bytes + compiled;
}

api::ReplayReport Replayer::finish(bool over) {
  for (; gone_ < erased_.size(); ++gone_) checker_.add_erased(erased_[gone_]);
  api::ReplayReport report = checker_.finish(over);
  if (prompts_) prompt_.finish(report);
  return report;
}

}  // namespace palyra::gateway::replay
