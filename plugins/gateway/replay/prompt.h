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

// Bytes that the prompts of one run may compile to in all, and one prompt: what is beyond is not
// verified. Far more than a model reads, far less than a file can ask for.
inline constexpr size_t kCompiledBytes = size_t{1} << 30;
inline constexpr size_t kPromptBytes = size_t{32} << 20;

// Compiles the segments of every context again and compares their digests, and that of the whole
// request where the tools are the same still. One thread at a time.
class PromptChecker {
 public:
  explicit PromptChecker(PromptSources sources, size_t limit = kCompiledBytes)
      : sources_(std::move(sources)), limit_(limit) {}

  // `state` is the fold of all before the record, `said` the bytes of what the run's messages are
  // made of. The bytes that were compiled, roughly. A record that the fold ignores is ignored.
  size_t add(const run::State& state, const tape::ContextGathered& gathered, size_t said);
  // Fills the fields about prompts.
  void finish(api::ReplayReport& report) const;

 private:
  std::optional<run::Piece> from_blob(const run::State& state, const tape::Segment& segment) const;
  size_t cost(const run::State& state, const tape::ContextGathered& gathered, size_t said) const;
  void compile(const run::State& state, const tape::ContextGathered& gathered);
  void note(std::string words);

  const PromptSources sources_;
  const size_t limit_;
  size_t compiled_ = 0;
  uint32_t segments_ = 0;
  uint32_t verified_ = 0;
  bool differs_ = false;
  bool missing_ = false;
  std::string note_;
};

// A whole tape: its decisions, and its prompts if there are sources. One thread at a time.
class Replayer {
 public:
  // `erased` are the seqs whose records are missing, in order.
  Replayer(std::vector<uint64_t> erased, std::optional<PromptSources> sources,
           run::SchemaCheck schema_check);

  // The next record. The work that it was, in bytes.
  size_t add(const Record& record);
  // After the last. `over`: the run is known to have ended.
  api::ReplayReport finish(bool over);

 private:
  const std::vector<uint64_t> erased_;
  const bool prompts_;
  size_t gone_ = 0;  // of erased_, those that were passed
  size_t said_ = 0;
  Checker checker_;
  PromptChecker prompt_;
};

}  // namespace palyra::gateway::replay
