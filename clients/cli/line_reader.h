// Lines from standard input, with a way to stop waiting for one.
#pragma once

#include <string>

namespace palyra::cli {

// Reads file descriptor 0 itself, because nobody can wait for std::cin and something else at once:
// use this or std::cin, never both. One for the process; one thread at a time.
class LineReader {
 public:
  enum class Result { kLine, kEnd, kStopped };

  static LineReader& standard_input();

  // The next line without its newline. kStopped if `stop_fd` (-1 = none) became readable
  // first; what was typed so far is kept for the next call.
  Result read(std::string* line, int stop_fd = -1);
  // A whole line is there already.
  bool ready() const { return pending_.find('\n') != std::string::npos; }

 private:
  explicit LineReader(int fd) : fd_(fd) {}

  int fd_;
  std::string pending_;
  bool ended_ = false;
};

}  // namespace palyra::cli
