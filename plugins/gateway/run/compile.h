// What a model sees, as messages. Pure: the same pieces give the same bytes and the same digest.
#pragma once

#include "palyra/service/v1/provider.pb.h"
#include "plugins/gateway/run/state.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::gateway::run {

// A request to a model: a ChatRequest in its deterministic serialisation.
struct Prompt {
  std::string bytes;
  service::ChatRequest parsed() const;
};

// Messages as they stand in a request: made once, shared by all copies. A conversation of many
// turns is put together for each of its runs without being made or copied again.
class Messages {
 public:
  Messages() = default;
  explicit Messages(const std::vector<service::ChatMessage>& messages);

  bool empty() const { return !wire_; }
  std::vector<service::ChatMessage> parsed() const;
  // The field `messages` of a ChatRequest, serialised.
  std::string_view wire() const { return wire_ ? std::string_view(*wire_) : std::string_view(); }
  // SHA-256 over the length and the serialisation of each, 32 bytes.
  std::string digest() const;

 private:
  std::shared_ptr<const std::string> wire_;
};

// A segment and its content. The digest of a segment is that of its messages.
struct Piece {
  tape::Segment segment;
  Messages messages;
  bool got_no_summary = false;  // a turn whose run wanted older ones summarised in vain
};

// Fills kind, source, provenance, tokens (estimated) and digest.
Piece make_piece(tape::SegmentKind kind, std::string source, common::Provenance provenance,
                 const std::vector<service::ChatMessage>& messages);

// Text that came from outside, between marks that it cannot forge, with a sentence saying that
// nothing in it is an instruction. `source` is for the model: "tool web.get".
std::string fence_text(std::string_view text, std::string_view source);
// OPERATOR, PRINCIPAL, MODEL or WORKSPACE.
bool trusted(common::Provenance provenance);
// Fences what is not trusted.
std::string by_provenance(std::string_view text, common::Provenance provenance,
                          std::string_view source);

// The system prompt; empty text gives no message.
Piece system_piece(std::string_view text, std::string source);
// Facts and rules that the session keeps word for word, said by the user; none gives no message.
Piece pinned_piece(const std::vector<std::string>& facts);
// Turns that an artifact stands for, with those of all it builds on.
uint32_t covered_turns(const tape::CompactionArtifact& artifact);
// A summary of older turns, as data unless all that it covers is trusted. `source` names it.
Piece summary_piece(const tape::CompactionArtifact& artifact, std::string source);
// The input of the run, with the messages that joined it before its first context, in the order of
// their acceptance.
Piece input_piece(const State& state);
// What the run did before turn `before`: one piece for each closed turn (the model's text and
// calls, then the results in proposal order), a repair request after a rejected answer, and the
// messages that joined the run meanwhile.
std::vector<Piece> run_pieces(const State& state, uint32_t before = UINT32_MAX);
// An earlier, finished run as one piece of history: its input, its turns, its answer. `state` is
// the fold of its tape; `source` names the turn.
Piece history_piece(const State& state, std::string source);

// The request for the pieces that are not dropped, in their order. Adjacent system messages become
// one. `model` is without the instance. Fields of the response format and tools are taken as they
// are. Without max_output_tokens, which the budget decides later.
Prompt compile(const std::vector<Piece>& pieces, const std::vector<service::ToolDefinition>& tools,
               std::string_view model, std::string_view response_schema_json);
// SHA-256 of the bytes of a request that compile() made, 32 bytes.
std::string request_digest(const Prompt& request);
// The bytes of the request with this limit.
std::string with_max_output_tokens(const Prompt& request, int64_t tokens);
// Estimated tokens of the tool definitions.
int64_t tool_tokens(const std::vector<service::ToolDefinition>& tools);

}  // namespace palyra::gateway::run
