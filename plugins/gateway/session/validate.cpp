#include "plugins/gateway/session/validate.h"

#include "plugins/common/digest/digest.h"
#include "plugins/common/ids/ulid.h"
#include "plugins/common/utf8/letters.h"
#include "plugins/common/utf8/utf8.h"

#include <algorithm>

namespace palyra::gateway {

Status check_ulid(const char* field, std::string_view value) {
  if (ids::is_ulid(value)) return {};
  return {
      Code::kInvalidArgument,
      std::string(field) + " must be a ULID (26 characters such as 01J9ZC3V5N8K2M4P6R7S9T0W1X)"};
}

Status check_text(const char* field, std::string_view value, size_t min, size_t max) {
  if (value.size() < min || value.size() > max) {
    return {Code::kInvalidArgument, std::string(field) + " has " + std::to_string(value.size()) +
                                        " bytes; " + std::to_string(min) + " to " +
                                        std::to_string(max) + " are allowed"};
  }
  if (!utf8::valid(value) || value.find('\0') != std::string_view::npos) {
    return {Code::kInvalidArgument, std::string(field) + " must be UTF-8 without NUL"};
  }
  return {};
}

bool has_word(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const utf8::CodePoint point = utf8::decode(text, at);
    if (point.size > 0 && utf8::is_word(point.value)) return true;
    at += std::max<size_t>(point.size, 1);
  }
  return false;
}

Status check_channel(std::string_view asked, const std::string& own) {
  if (asked.empty() || asked == own) return {};
  return Status(Code::kPermissionDenied, "this caller speaks on channel " + own +
                                             "; leave the field channel out, or name the channel "
                                             "in x-palyra-channel with a token that may use it");
}

Status check_page_size(uint32_t& size) {
  if (size == 0) size = 50;
  if (size <= 500) return {};
  return {Code::kInvalidArgument,
          "page_size is " + std::to_string(size) + "; at most 500 are answered at once"};
}

std::string page_token(std::string_view cursor) { return digest::to_hex(cursor); }

Status parse_page_token(std::string_view token, std::string& cursor) {
  const auto bytes = token.size() <= 4096 ? digest::from_hex(token) : std::nullopt;
  if (!bytes) {
    return {Code::kInvalidArgument, "page_token is not one that this server gave"};
  }
  cursor = *bytes;
  return {};
}

}  // namespace palyra::gateway
