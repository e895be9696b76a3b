// Whether what a model was shown is what the tape compiles to. Pure.
#pragma once

#include "plugins/gateway/replay/check.h"
#include "plugins/gateway/run/compile.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace palyra::gateway::replay {

// What a prompt is made of besides the run's own tape; as much of it as can be had.
struct PromptSources {
  // The system prompt, pinned facts, summaries: by digest, 32 bytes.
  std::map<std::string, std::string> blobs;
  // Earlier runs of the session as pieces, by stream.
  std::map<std::string, run::Piece> history;
  // The tool definitions of the catalogue with this digest.
  std::string catalogue_digest;
  std::vector<palyra::service::v1::ToolDefinition> tools;
};

// Digests of the blobs that the prompts of a run are made of, each once.
std::vector<std::string> prompt_blobs(const std::vector<Record>& tape);
// Streams of the earlier runs that they show, each once.
std::vector<std::string> prompt_history(const std::vector<Record>& tape);

// Compiles the segments of every context again and compares their digests, and that of the whole
// request where the tools are the same still. One thread at a time.
class PromptChecker {
 public:
  explicit PromptChecker(PromptSources sources) : sources_(std::move(sources)) {}

  // `state` is the fold of all before the record.
  void add(const run::State& state, const tape::ContextGathered& gathered);
  // Fills the fields about prompts.
  void finish(api::ReplayReport& report) const;

 private:
  std::optional<run::Piece> from_blob(const run::State& state, const tape::Segment& segment) const;
  void note(std::string words) {
    if (note_.empty()) note_ = std::move(words);
  }

  const PromptSources sources_;
  uint32_t segments_ = 0;
  uint32_t verified_ = 0;
  bool differs_ = false;
  bool missing_ = false;
  std::string note_;
};

// A whole tape: its decisions, and its prompts if there are sources. `erased` are the seqs whose
// records are missing.
api::ReplayReport replay(const std::vector<Record>& records, const std::vector<uint64_t>& erased,
                         std::optional<PromptSources> sources,
                         const run::SchemaCheck& schema_check);

}  // namespace palyra::gateway::replay
