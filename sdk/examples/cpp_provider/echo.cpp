#include "echo.h"

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  size_t begin = 0;
  while (begin < text.size()) {
    size_t end = text.find_first_of(" \t\n", begin);
    end = end == std::string_view::npos ? text.size() : text.find_first_not_of(" \t\n", end);
    if (end == std::string_view::npos) end = text.size();
    words.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}
