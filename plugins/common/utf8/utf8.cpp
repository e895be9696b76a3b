#include "plugins/common/utf8/utf8.h"

#include <algorithm>

namespace palyra::utf8 {

namespace {
bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }
}  // namespace

CodePoint decode(std::string_view text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xC2 || lead > 0xF4) return {};
  const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (at + size > text.size()) return {};
  char32_t value = lead & (0xFFu >> (size + 1));
  for (size_t i = at + 1; i < at + size; ++i) {
    if (!continues(text[i])) return {};
    value = value << 6 | (static_cast<unsigned char>(text[i]) & 0x3Fu);
  }
  const bool overlong = (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
  if (overlong || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return {};
  return {value, size};
}

namespace {
// Bytes of whole, valid code points at the beginning.
size_t valid_bytes(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const CodePoint point = decode(text, at);
    if (point.size == 0) break;
    at += point.size;
  }
  return at;
}
}  // namespace

bool valid(std::string_view text) { return valid_bytes(text) == text.size(); }

bool valid_beginning(std::string_view text) {
  const std::string_view rest = text.substr(valid_bytes(text));
  if (rest.empty()) return true;
  const auto lead = static_cast<unsigned char>(rest[0]);
  if (lead < 0xC2 || lead > 0xF4) return false;
  const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  return rest.size() < size && std::all_of(rest.begin() + 1, rest.end(), continues);
}

std::string_view prefix(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && continues(text[bytes])) --bytes;
  return text.substr(0, bytes);
}

std::string repaired(std::string text) {
  if (valid(text)) return text;
  std::string out;
  out.reserve(text.size() + 16);
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text, at);
    if (point.size == 0) {
      out += "\xEF\xBF\xBD";
      ++at;
    } else {
      out.append(text, at, point.size);
      at += point.size;
    }
  }
  return out;
}

}  // namespace palyra::utf8
