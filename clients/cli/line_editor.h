// A line from a person at a terminal, with editing and history (libedit).
#pragma once

#include "clients/cli/line_reader.h"

#include <string>

namespace palyra::cli {

// For a terminal on standard input and output; LineReader reads what is none. The history is kept
// in memory only, since what is typed may be private. kLine or kEnd. Main thread.
LineReader::Result edit_line(const std::string& prompt, std::string* line);

}  // namespace palyra::cli
