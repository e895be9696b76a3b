// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <thread>

namespace palyra::host {

// SIGTERM and SIGINT call `stop`; the second one ends the process at once with 128 + its number.
// SIGHUP calls `reload`. Both run on a thread of this object. SIGPIPE does nothing. Handlers, not a
// blocked mask, so that programs started by plugins inherit neither. One at a time in a process.
class Signals {
 public:
  Signals(std::function<void()> stop, std::function<void()> reload);
  ~Signals();
  Signals(const Signals&) = delete;

 private:
  void work();

  const std::function<void()> stop_;
  const std::function<void()> reload_;
  int read_end_ = -1;
  std::thread thread_;
};

}  // namespace palyra::host
