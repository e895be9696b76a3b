#include "text_count.h"

struct text_counts text_count(const char* text, size_t size) {
  struct text_counts counts = {size, 0, 0, 0};
  int in_word = 0;
  size_t i;
  for (i = 0; i < size; ++i) {
    const unsigned char c = (unsigned char)text[i];
    const int space = c == ' ' || (c >= '\t' && c <= '\r');
    if ((c & 0xC0) != 0x80) ++counts.characters;
    if (!space && !in_word) ++counts.words;
    in_word = !space;
    if (c == '\n') ++counts.lines;
  }
  if (size > 0 && text[size - 1] != '\n') ++counts.lines;
  return counts;
}
