#include "plugins/gateway/session/validate.h"

#include "plugins/common/digest/digest.h"

namespace palyra::gateway {

bool valid_utf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    const unsigned char lead = *p++;
    if (lead < 0x80) continue;
    int more = 0;
    uint32_t point = 0;
    if (lead >= 0xC2 && lead <= 0xDF) {
      more = 1;
      point = lead & 0x1Fu;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      more = 2;
      point = lead & 0x0Fu;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      more = 3;
      point = lead & 0x07u;
    } else {
      return false;
    }
    if (end - p < more) return false;
    for (int i = 0; i < more; ++i) {
      const unsigned char next = *p++;
      if ((next & 0xC0) != 0x80) return false;
      point = (point << 6) | (next & 0x3Fu);
    }
    if (more == 2 && (point < 0x800 || (point >= 0xD800 && point <= 0xDFFF))) return false;
    if (more == 3 && (point < 0x10000 || point > 0x10FFFF)) return false;
  }
  return true;
}

bool valid_ulid(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  if (text.size() != 26 || text[0] > '7') return false;
  for (const char c : text) {
    if (kDigits.find(c) == std::string_view::npos) return false;
  }
  return true;
}

Status check_ulid(const char* field, std::string_view value) {
  if (valid_ulid(value)) return {};
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
  if (!valid_utf8(value) || value.find('\0') != std::string_view::npos) {
    return {Code::kInvalidArgument, std::string(field) + " must be UTF-8 without NUL"};
  }
  return {};
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
