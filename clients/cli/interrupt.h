// Ctrl-C as a value, for who has something to put away first.
#pragma once

#include <csignal>

namespace palyra::cli {

// While it lives, Ctrl-C ends nothing by itself. It is noticed between two messages of the daemon,
// which come many times a second. One at a time.
class Interrupt {
 public:
  Interrupt() {
    seen_ = 0;
    struct sigaction action = {};
    action.sa_handler = [](int) { seen_ = 1; };
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, &before_);
  }
  ~Interrupt() { sigaction(SIGINT, &before_, nullptr); }
  bool seen() const { return seen_ != 0; }

 private:
  static inline volatile sig_atomic_t seen_ = 0;
  struct sigaction before_ = {};
};

}  // namespace palyra::cli
