#include "clients/cli/ctrl_c.h"

#include "clients/cli/exit_codes.h"

#include <signal.h>
#include <unistd.h>
#include <utility>

namespace palyra::cli {

namespace {
// SIGUSR2 ends the thread that waits for SIGINT.
sigset_t waited_for() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGUSR2);
  return signals;
}
}  // namespace

void CtrlC::block() {
  const sigset_t signals = waited_for();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

CtrlC::CtrlC(std::function<void()> first, std::function<void()> leaving)
    : first_(std::move(first)), leaving_(std::move(leaving)), thread_([this] { loop(); }) {}

CtrlC::~CtrlC() {
  stop_ = true;
  pthread_kill(thread_.native_handle(), SIGUSR2);
  thread_.join();
}

void CtrlC::loop() {
  const sigset_t signals = waited_for();
  int seen = 0;
  int signal = 0;
  while (!stop_ && sigwait(&signals, &signal) == 0) {
    if (signal != SIGINT) continue;
    if (++seen > 1) {
      (void)!write(2, "\n", 1);
      if (leaving_) leaving_();
      _exit(kExitInterrupted);
    }
    first_();
  }
}

}  // namespace palyra::cli
