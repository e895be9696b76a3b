// Ctrl-C for what the daemon does on: the first asks to cancel it, the second leaves.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace palyra::cli {

// While it lives it takes SIGINT in a thread of its own, so that no handler runs inside gRPC:
// `first` at the first one, `leaving` and the end of the process with 130 at the second. Both are
// called in that thread and must not wait for the daemon. One at a time.
class CtrlC {
 public:
  explicit CtrlC(std::function<void()> first, std::function<void()> leaving = nullptr);
  ~CtrlC();
  CtrlC(const CtrlC&) = delete;

  // Before any thread is started.
  static void block();

 private:
  void loop();

  const std::function<void()> first_;
  const std::function<void()> leaving_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace palyra::cli
