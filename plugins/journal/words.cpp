#include "plugins/journal/words.h"

#include "plugins/common/utf8/letters.h"
#include "plugins/common/utf8/utf8.h"

#include <algorithm>
#include <cstdint>

namespace palyra::journal {
namespace {

// Calls word(text, followed by *).
template <typename Fn>
void for_each_word(std::string_view text, const Fn& word) {
  std::string current;
  bool full = false;
  bool single = false;
  const auto flush = [&](bool star) {
    if (!current.empty()) word(current, star);
    current.clear();
    full = false;
  };
  for (size_t at = 0; at < text.size();) {
    const utf8::CodePoint point = utf8::decode(text, at);
    at += std::max<size_t>(point.size, 1);
    const char32_t code = point.value;
    if (point.size == 0 || !utf8::is_word(code)) {
      flush(code == '*');
      continue;
    }
    if (single || utf8::is_single(code)) flush(false);
    single = utf8::is_single(code);
    const size_t before = current.size();
    if (!full) utf8::append(current, utf8::folded(code));
    if (current.size() > kMaxWord) {
      current.resize(before);
      full = true;
    }
  }
  flush(false);
}

}  // namespace

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for_each_word(text, [&](const std::string& word, bool) { words.push_back(word); });
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

std::vector<QueryWord> query_words(std::string_view text) {
  std::vector<QueryWord> words;
  for_each_word(text, [&](const std::string& word, bool star) { words.push_back({word, star}); });
  return words;
}

}  // namespace palyra::journal
