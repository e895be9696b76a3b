// What the embedded provider is going to say in one turn, as a value.
#pragma once

#include "palyra/common/v1/common.pb.h"
#include "palyra/service/v1/provider.pb.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace palyra::embedded {

// A failure that a script asks for.
struct AnswerFailure {
  service::v1::FailureKind kind = service::v1::FAILURE_KIND_UNAVAILABLE;
  std::string message;
  int64_t retry_after_ms = 0;
  int32_t http_status = 0;
  // Bytes of reasoning and text that are sent first; rounded down to whole code points.
  int64_t after_bytes = 0;
};

struct Answer {
  std::string reasoning;
  std::string text;
  std::vector<common::v1::ToolCall> tool_calls;

  // For benchmarks: `delta_count` deltas of `delta_bytes` bytes each instead of `text`; a delta
  // counts as one token.
  int64_t delta_count = 0;
  int64_t delta_bytes = 0;

  // Milliseconds before each event; unset = the instance's setting.
  std::optional<int64_t> delay_ms;
  // Bytes a delta, rounded to whole code points; 0 = word by word.
  int64_t chunk_bytes = 0;

  std::optional<AnswerFailure> failure;
  // Sends everything above, then nothing: the turn ends by cancel, or by the first-token timeout if
  // there was nothing to send.
  bool hang = false;

  // Instead of the estimate.
  std::optional<common::v1::Usage> usage;
  // Instead of what follows from the events.
  std::optional<service::v1::FinishReason> finish_reason;
};

}  // namespace palyra::embedded
