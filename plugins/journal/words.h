// Words of UTF-8 text for `text` indexes: runs of letters and digits, case folded, cut at 64 bytes.
// Each CJK character is a word of its own. Bytes that are not UTF-8 separate words. What is stored
// depends on this, so a change needs a migration that indexes again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace palyra::journal {

constexpr size_t kMaxWord = 64;

// Sorted, without duplicates.
std::vector<std::string> words_of(std::string_view text);

struct QueryWord {
  std::string word;
  bool prefix = false;
};

// Words of a query; a word directly followed by * matches as a prefix. Empty if there is no word.
std::vector<QueryWord> query_words(std::string_view text);

}  // namespace palyra::journal
