// SPDX-License-Identifier: Apache-2.0
#include "host/lifecycle/signals.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>

namespace palyra::host {
namespace {

constexpr std::array kWatched = {SIGTERM, SIGINT, SIGHUP};

std::atomic<int> write_end{-1};
std::atomic<int> stops{0};

extern "C" void on_signal(int number) {
  if (number != SIGHUP && stops.fetch_add(1) > 0) ::_exit(128 + number);
  const int saved = errno;
  const auto byte = static_cast<uint8_t>(number);
  [[maybe_unused]] const ssize_t ignored = ::write(write_end.load(), &byte, 1);
  errno = saved;
}

extern "C" void ignore_signal(int) {}

void handle(int number, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(number, &action, nullptr);
}

}  // namespace

Signals::Signals(std::function<void()> stop, std::function<void()> reload)
    : stop_(std::move(stop)), reload_(std::move(reload)) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe2");
  }
  read_end_ = ends[0];
  write_end.store(ends[1]);
  stops.store(0);
  thread_ = std::thread([this] { work(); });
  for (const int number : kWatched) handle(number, on_signal);
  handle(SIGPIPE, ignore_signal);
}

Signals::~Signals() {
  for (const int number : kWatched) handle(number, SIG_DFL);
  const uint8_t end = 0;
  [[maybe_unused]] const ssize_t ignored = ::write(write_end.load(), &end, 1);
  thread_.join();
  ::close(write_end.exchange(-1));
  ::close(read_end_);
}

void Signals::work() {
  for (;;) {
    uint8_t number = 0;
    const ssize_t count = ::read(read_end_, &number, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count != 1 || number == 0) return;
    if (number == SIGHUP) {
      reload_();
    } else {
      stop_();
    }
  }
}

}  // namespace palyra::host
