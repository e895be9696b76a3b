/* What text.count counts. */
#ifndef TEXT_COUNT_H
#define TEXT_COUNT_H

#include <stddef.h>

struct text_counts {
  size_t bytes, characters, words, lines;
};

/* Of UTF-8; words are separated by ASCII white space. */
struct text_counts text_count(const char* text, size_t size);

#endif
