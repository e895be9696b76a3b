// An incremental parser of text/event-stream, after the WHATWG HTML standard, section 9.2.6.
#pragma once

#include "palyra/status.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace palyra::sse {

struct Event {
  std::string_view type;  // "message" if the stream named none
  std::string_view data;  // the data lines, joined by newlines
  std::string_view id;    // the last id seen so far
};

// Takes bytes in any portions and calls back once per complete event; an event without data is
// none, and one that the end of the stream cuts off is dropped, as the standard says. Memory: at
// most twice max_event_bytes. One thread.
class Parser {
 public:
  // The event is borrowed. Returning false stops feed() early; what follows is not parsed.
  using OnEvent = std::function<bool(const Event& event)>;

  explicit Parser(OnEvent on_event, size_t max_event_bytes = size_t{4} << 20)
      : on_event_(std::move(on_event)), max_event_bytes_(max_event_bytes) {}

  // RESOURCE_EXHAUSTED if a line or the data of an event exceeds the limit; the parser is then
  // done.
  Status feed(std::string_view bytes);

  // Milliseconds the stream wants a client to wait before reconnecting.
  std::optional<int64_t> retry_ms() const { return retry_ms_; }
  // An event or a line has begun and not ended.
  bool in_event() const { return !line_.empty() || has_data_ || !type_.empty(); }
  // True after anything that the format knows: a comment or a known field.
  bool saw_field() const { return saw_field_; }

 private:
  bool line(std::string_view text);
  bool dispatch();
  Status too_long();

  const OnEvent on_event_;
  const size_t max_event_bytes_;
  std::string line_;  // an unfinished line
  std::string type_;
  std::string data_;
  std::string id_;
  std::optional<int64_t> retry_ms_;
  bool has_data_ = false;
  bool after_cr_ = false;  // the next LF belongs to that CR
  bool first_line_ = true;
  bool saw_field_ = false;
  bool stopped_ = false;
  bool failed_ = false;
};

}  // namespace palyra::sse
