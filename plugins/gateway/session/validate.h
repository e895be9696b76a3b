// Checks of what clients send. Pure.
#pragma once

#include "palyra/status.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace palyra::gateway {

// INVALID_ARGUMENT names the field.
Status check_ulid(const char* field, std::string_view value);
// min..max bytes of UTF-8 without NUL.
Status check_text(const char* field, std::string_view value, size_t min, size_t max);
// There is a letter or a digit, so that an index can look for something.
bool has_word(std::string_view text);
// PERMISSION_DENIED if `asked` is neither empty nor `own`: a channel is the credential's to say.
Status check_channel(std::string_view asked, const std::string& own);
// 0 becomes 50, more than 500 is INVALID_ARGUMENT.
Status check_page_size(uint32_t& size);

// Page tokens: opaque to clients, so hex of the journal's cursor.
std::string page_token(std::string_view cursor);
Status parse_page_token(std::string_view token, std::string& cursor);

}  // namespace palyra::gateway
