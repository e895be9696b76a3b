#include "clients/cli/line_editor.h"

#include <cstdio>
#include <cstdlib>
#include <editline/readline.h>

namespace palyra::cli {

LineReader::Result edit_line(const std::string& prompt, std::string* line) {
  char* text = readline(prompt.c_str());
  if (text == nullptr) return LineReader::Result::kEnd;
  line->assign(text);
  if (!line->empty()) add_history(text);
  std::free(text);
  return LineReader::Result::kLine;
}

}  // namespace palyra::cli
