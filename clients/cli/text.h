// Text that others wrote, made fit for a terminal. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace palyra::cli {

// Without control characters (C0, DEL, C1) and without the characters that reorder what is
// displayed (bidirectional overrides and isolates): what a model or a tool wrote must not move the
// cursor, change the terminal or look like something else. Newlines and tabs stay; what is not
// UTF-8 becomes U+FFFD.
std::string printable(std::string_view text);

// printable() in one line: newlines and tabs become spaces.
std::string one_line(std::string_view text);

// one_line() of at most `limit` bytes, never cut inside a code point; " ..." says that it was cut.
std::string shortened(std::string_view text, size_t limit);

// printable() text in lines of at most `width` code points (at least 8), broken at blanks where
// there are any. No line for empty text.
std::vector<std::string> wrapped(std::string_view text, size_t width);

// With blanks behind it until it is `width` code points wide.
std::string padded(std::string text, size_t width);

// JSON whose strings hold no DEL, C1 or bidirectional control as such, but their \u escapes.
std::string terminal_json(std::string_view json);

bool is_utf8(std::string_view text);

// The word that was probably meant: at most two edits or swaps of neighbours away, or the only one
// that begins so. Empty if there is none.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

// The last line that is not empty, without its end; empty if there is none.
std::string_view last_line(std::string_view text);

// As a word of a shell's command line: quoted unless it is plain.
std::string shell_word(std::string_view text);

// A TOML basic string, quotes included.
std::string toml_quoted(std::string_view text);

}  // namespace palyra::cli
