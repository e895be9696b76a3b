// Playback: an answer cut into events, within the limit of output tokens. Pure: no clock, no
// credits.
#pragma once

#include "palyra/service/v1/provider.pb.h"
#include "plugins/common/provider/failure.h"
#include "plugins/common/provider/tokens.h"
#include "plugins/providers/embedded/answer.h"

#include <cstdint>
#include <string_view>

namespace palyra::embedded {

// Order: reasoning, text (or bench deltas), tool calls, then an ending that stays. Memory is that
// of the answer, however many deltas it has.
class Playback {
 public:
  enum class Next { kEvent, kFinished, kFailed, kHang };

  // max_output_tokens: 0 = no limit. input_tokens: for the usage.
  Playback(Answer answer, int64_t input_tokens, int64_t max_output_tokens);

  // What comes next; moves on only by pop().
  Next peek();
  // The event; valid until the next pop(). Only after peek() said kEvent.
  const service::v1::ChatEvent& event() const { return event_; }
  void pop() { ready_ = false; }

  // After kFinished. Without model and request id.
  service::v1::ChatResult result() const;
  // After kFailed.
  provider::Failure failure() const;

 private:
  bool cut(const std::string& from, size_t* offset, bool reasoning);
  size_t piece_size(std::string_view rest) const;
  Next ending() const;

  Answer answer_;
  int64_t input_tokens_;
  int64_t max_output_tokens_;
  provider::TokenCounter output_;
  provider::TokenCounter reasoning_tokens_;
  size_t reasoning_offset_ = 0;
  size_t text_offset_ = 0;
  int64_t deltas_sent_ = 0;
  size_t calls_sent_ = 0;
  bool cut_off_ = false;
  bool ready_ = false;
  service::v1::ChatEvent event_;
};

}  // namespace palyra::embedded
