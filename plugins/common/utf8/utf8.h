// UTF-8 (RFC 3629): code points, validity, cutting without breaking one. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace palyra::utf8 {

struct CodePoint {
  char32_t value = 0;
  size_t size = 0;  // bytes, 1..4; 0 = there is no valid one here
};

// The code point that begins at byte `at` < text.size().
CodePoint decode(std::string_view text, size_t at);

bool valid(std::string_view text);
// As valid(), but the text may end inside its last code point: the beginning of something longer.
bool valid_beginning(std::string_view text);

// The longest beginning of at most `bytes` bytes that cuts no code point in two.
std::string_view prefix(std::string_view text, size_t bytes);

// With U+FFFD in the place of every byte that is not UTF-8.
std::string repaired(std::string text);

}  // namespace palyra::utf8
