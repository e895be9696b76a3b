#include "plugins/providers/embedded/playback.h"

#include "plugins/common/utf8/utf8.h"

#include <algorithm>
#include <string>
#include <utility>

namespace palyra::embedded {
namespace {

constexpr size_t kMaxWordBytes = 256;

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// The largest size <= `size` (but at least one code point) that cuts no code point of `text` in
// two.
size_t whole_code_points(std::string_view text, size_t size) {
  if (size >= text.size()) return text.size();
  const size_t cut = utf8::prefix(text, size).size();
  return cut > 0 ? cut : std::max<size_t>(utf8::decode(text, 0).size, 1);
}

// Keeps the first `bytes` of `text`, rounded down to whole code points; returns what is left of
// `bytes`.
size_t truncate(std::string* text, size_t bytes) {
  const size_t before = text->size();
  if (bytes >= before) return bytes - before;
  text->resize(utf8::prefix(*text, bytes).size());
  return 0;
}

}  // namespace

Playback::Playback(Answer answer, int64_t input_tokens, int64_t max_output_tokens)
    : answer_(std::move(answer)),
      input_tokens_(input_tokens),
      max_output_tokens_(max_output_tokens) {
  if (answer_.failure) {
    size_t left = static_cast<size_t>(std::max<int64_t>(answer_.failure->after_bytes, 0));
    left = truncate(&answer_.reasoning, left);
    truncate(&answer_.text, left);
    answer_.tool_calls.clear();
  }
}

Playback::Next Playback::peek() {
  if (ready_) return Next::kEvent;
  if (cut_off_) return Next::kFinished;
  if (cut(answer_.reasoning, &reasoning_offset_, true)) return Next::kEvent;
  if (deltas_sent_ < answer_.delta_count && !cut_off_) {
    if (max_output_tokens_ > 0 && output_.tokens() + 1 > max_output_tokens_) {
      cut_off_ = true;
    } else {
      output_.add_tokens(1);
      if (deltas_sent_++ == 0) {
        event_.set_text_delta(std::string(static_cast<size_t>(answer_.delta_bytes), 'x'));
      }
      ready_ = true;
      return Next::kEvent;
    }
  }
  if (!cut_off_ && cut(answer_.text, &text_offset_, false)) return Next::kEvent;
  if (!cut_off_ && calls_sent_ < answer_.tool_calls.size()) {
    const auto& call = answer_.tool_calls[calls_sent_];
    provider::TokenCounter after = output_;
    after.add(call.name());
    after.add(call.arguments_json());
    if (max_output_tokens_ > 0 && after.tokens() > max_output_tokens_) {
      cut_off_ = true;
    } else {
      output_ = after;
      ++calls_sent_;
      *event_.mutable_tool_call() = call;
      ready_ = true;
      return Next::kEvent;
    }
  }
  return ending();
}

bool Playback::cut(const std::string& from, size_t* offset, bool reasoning) {
  if (*offset >= from.size() || cut_off_) return false;
  const std::string_view rest = std::string_view(from).substr(*offset);
  const std::string_view piece = rest.substr(0, piece_size(rest));
  provider::TokenCounter after = output_;
  after.add(piece);
  if (max_output_tokens_ > 0 && after.tokens() > max_output_tokens_) {
    cut_off_ = true;
    return false;
  }
  output_ = after;
  *offset += piece.size();
  if (reasoning) {
    reasoning_tokens_.add(piece);
    event_.set_reasoning_delta(piece.data(), piece.size());
  } else {
    event_.set_text_delta(piece.data(), piece.size());
  }
  ready_ = true;
  return true;
}

// One word with the white space after it, or chunk_bytes.
size_t Playback::piece_size(std::string_view rest) const {
  if (answer_.chunk_bytes > 0) {
    return whole_code_points(rest, static_cast<size_t>(answer_.chunk_bytes));
  }
  size_t end = 0;
  while (end < rest.size() && !is_space(rest[end])) ++end;
  while (end < rest.size() && is_space(rest[end])) ++end;
  return whole_code_points(rest, std::min(end, kMaxWordBytes));
}

Playback::Next Playback::ending() const {
  if (cut_off_) return Next::kFinished;
  if (answer_.hang) return Next::kHang;
  return answer_.failure ? Next::kFailed : Next::kFinished;
}

service::v1::ChatResult Playback::result() const {
  service::v1::ChatResult result;
  if (cut_off_) {
    result.set_finish_reason(service::v1::FINISH_REASON_LENGTH);
  } else if (answer_.finish_reason) {
    result.set_finish_reason(*answer_.finish_reason);
  } else {
    result.set_finish_reason(calls_sent_ > 0 ? service::v1::FINISH_REASON_TOOL_CALLS
                                             : service::v1::FINISH_REASON_STOP);
  }
  auto* usage = result.mutable_usage();
  if (answer_.usage) {
    *usage = *answer_.usage;
  } else {
    usage->set_input_tokens(input_tokens_);
    usage->set_output_tokens(output_.tokens());
    usage->set_reasoning_tokens(reasoning_tokens_.tokens());
    usage->set_estimated(true);
  }
  return result;
}

provider::Failure Playback::failure() const {
  const AnswerFailure& wanted = *answer_.failure;
  provider::Failure failure = provider::make_failure(wanted.kind, wanted.message,
                                                     wanted.http_status, wanted.retry_after_ms);
  if (answer_.usage) *failure.detail.mutable_usage() = *answer_.usage;
  return failure;
}

}  // namespace palyra::embedded
