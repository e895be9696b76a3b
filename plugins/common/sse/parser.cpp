#include "plugins/common/sse/parser.h"

#include <charconv>

namespace palyra::sse {
namespace {
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
}  // namespace

Status Parser::feed(std::string_view bytes) {
  if (failed_) return too_long();
  while (!bytes.empty() && !stopped_) {
    if (after_cr_) {
      after_cr_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const size_t end = bytes.find_first_of("\r\n");
    const std::string_view piece = bytes.substr(0, end);
    if (line_.size() + piece.size() > max_event_bytes_) return too_long();
    if (end == std::string_view::npos) {
      line_ += piece;
      break;
    }
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    bool fits = false;
    if (line_.empty()) {
      fits = line(piece);
    } else {
      line_ += piece;
      fits = line(line_);
      line_.clear();
    }
    if (!fits) return too_long();
  }
  return {};
}

// False if the data has become too long.
bool Parser::line(std::string_view text) {
  if (first_line_) {
    first_line_ = false;
    if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
      text.remove_prefix(kByteOrderMark.size());
    }
  }
  if (text.empty()) {
    stopped_ = !dispatch();
    return true;
  }
  const size_t colon = text.find(':');
  if (colon == 0) {
    saw_field_ = true;
    return true;
  }
  const std::string_view field = text.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  if (!value.empty() && value.front() == ' ') value.remove_prefix(1);

  if (field == "data") {
    if (data_.size() + value.size() + 1 > max_event_bytes_) return false;
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  } else if (field == "event") {
    type_ = value;
  } else if (field == "id") {
    if (value.find('\0') == std::string_view::npos) id_ = value;
  } else if (field == "retry") {
    int64_t ms = 0;
    const auto parsed = std::from_chars(value.data(), value.data() + value.size(), ms);
    if (!value.empty() && value.front() != '-' && parsed.ec == std::errc() &&
        parsed.ptr == value.data() + value.size()) {
      retry_ms_ = ms;
    }
  } else {
    return true;
  }
  saw_field_ = true;
  return true;
}

bool Parser::dispatch() {
  const bool whole = has_data_;
  has_data_ = false;
  bool go_on = true;
  if (whole) {
    go_on = on_event_(
        {type_.empty() ? std::string_view("message") : std::string_view(type_), data_, id_});
  }
  type_.clear();
  data_.clear();
  return go_on;
}

Status Parser::too_long() {
  failed_ = true;
  line_.clear();
  data_.clear();
  return Status(Code::kResourceExhausted, "an event of the stream has more than " +
                                              std::to_string(max_event_bytes_) + " bytes");
}

}  // namespace palyra::sse
