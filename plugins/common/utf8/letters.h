// Letters and their case, for words that are looked for. Our own tables, because a C library's
// would change under words that are stored. Pure.
#pragma once

#include <string>
#include <string_view>

namespace palyra::utf8 {

void append(std::string& out, char32_t code);

// Latin, Greek, Cyrillic and Armenian capitals to small letters; others have no case or keep it.
// It takes as many bytes as before.
char32_t folded(char32_t code);
// The same of each letter; bytes that are not UTF-8 stay as they are.
std::string folded(std::string_view text);

// A letter or a digit, of any script.
bool is_word(char32_t code);
// Chinese and Japanese: each is a word of its own.
bool is_single(char32_t code);

}  // namespace palyra::utf8
