// A program on a terminal of its own, and the person in front of it.
#pragma once

#include "tests/e2e/daemon.h"

#include <string>
#include <sys/types.h>
#include <vector>

namespace palyra::e2e {

class Terminal {
 public:
  Terminal(const std::vector<std::string>& arguments, const std::vector<std::string>& environment);
  ~Terminal();  // kills what still runs
  Terminal(const Terminal&) = delete;

  // Reads until `text` has been shown behind what was waited for before; false if the program ended
  // first, shows nothing for 20 s, or other things for a minute.
  bool wait_for(const std::string& text);
  // Keys; "\x03" is Ctrl-C and "\x04" Ctrl-D.
  void type(const std::string& keys);
  // Types until the program ends: a line editor shows its prompt a moment before it takes Ctrl-D,
  // and loses one that comes in between. finish()'s exit code.
  int leave_by(const std::string& keys);
  // Reads to the end of the program; its exit code, 128 + signal if it was killed.
  int finish();
  // All that was shown, keys that were echoed included.
  const std::string& shown() const { return shown_; }

 private:
  bool read_more();

  int fd_ = -1;
  pid_t pid_ = -1;
  std::string shown_;
  size_t seen_ = 0;
};

}  // namespace palyra::e2e
