// What a person types while a run is shown.
#pragma once

#include "clients/cli/line_reader.h"

#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace palyra::cli {

// While it lives it alone reads standard input, in a thread of its own: each line goes to `on_line`
// there, or to who asks. Lines that nobody took stay with LineReader. Not copied.
class Typing {
 public:
  explicit Typing(std::function<void(const std::string&)> on_line);
  ~Typing();
  Typing(const Typing&) = delete;

  // The next line is the answer to a question: say so before the question is shown, then wait for
  // it. As LineReader::read; from another thread than the reading one.
  void expect_answer();
  LineReader::Result answer(std::string* line, int stop_fd);
  // Ctrl-D.
  bool ended() const;

 private:
  void loop();

  const std::function<void(const std::string&)> on_line_;
  int stop_ = -1;    // eventfds
  int answer_ = -1;  // readable when there is an answer, or nobody types any more
  mutable std::mutex mutex_;
  bool asking_ = false;
  bool ended_ = false;
  std::string line_;
  std::thread thread_;
};

}  // namespace palyra::cli
