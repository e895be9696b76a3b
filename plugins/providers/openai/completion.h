// Completion: what a streamed (or whole) chat completion says, chunk by chunk. Pure.
#pragma once

#include "palyra/service/v1/provider.pb.h"
#include "palyra/status.hpp"
#include "plugins/providers/openai/tool_names.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::openai {

// Collects the fragments of tool calls and turns everything else into events at once. Bounded: a
// call has at most 1 MiB of arguments, a turn at most 128 calls.
class Completion {
 public:
  using OnEvent = std::function<void(service::v1::ChatEvent event)>;
  enum class Fed { kOk, kDone, kError, kBad };

  Completion(const ToolNames& names, OnEvent on_event)
      : names_(names), on_event_(std::move(on_event)) {}

  // The data of one SSE event. kDone: "[DONE]". kError: an error object. kBad: not what the API
  // says; problem() has a sentence.
  Fed feed_chunk(std::string_view data);
  // A whole answer, as if it had not been asked to stream.
  Fed feed_whole(std::string_view json);

  // Sends the calls that were collected. Once, at the end. False: problem().
  bool finish();

  bool has_finish_reason() const { return finish_reason_.has_value(); }
  // `request` gives the estimate if no usage was reported.
  service::v1::ChatResult result(const service::v1::ChatRequest& request) const;
  const std::string& problem() const { return problem_; }

 private:
  struct PartialCall {
    int64_t index = 0;
    std::string id, name, arguments;
  };

  Fed bad(std::string problem);
  template <typename Json>
  Fed common(const Json& root);
  template <typename Json>
  Fed message(const Json& delta);
  template <typename Json>
  Fed call_fragment(const Json& fragment, int64_t position);

  const ToolNames& names_;
  const OnEvent on_event_;
  std::vector<PartialCall> calls_;
  std::optional<service::v1::FinishReason> finish_reason_;
  std::optional<common::v1::Usage> usage_;
  std::string model_;
  std::string id_;
  std::string problem_;
  int64_t output_bytes_ = 0;
};

}  // namespace palyra::openai
