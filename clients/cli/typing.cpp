#include "clients/cli/typing.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

namespace palyra::cli {

Typing::Typing(std::function<void(const std::string&)> on_line)
    : on_line_(std::move(on_line)),
      stop_(eventfd(0, EFD_CLOEXEC)),
      answer_(eventfd(0, EFD_CLOEXEC)),
      thread_([this] { loop(); }) {}

Typing::~Typing() {
  eventfd_write(stop_, 1);
  thread_.join();
  close(stop_);
  close(answer_);
}

void Typing::loop() {
  std::string line;
  while (true) {
    const auto got = LineReader::standard_input().read(&line, stop_);
    if (got == LineReader::Result::kStopped) return;
    std::unique_lock lock(mutex_);
    if (got == LineReader::Result::kEnd) {
      ended_ = true;
      eventfd_write(answer_, 1);
      return;
    }
    if (asking_) {
      asking_ = false;
      line_ = line;
      eventfd_write(answer_, 1);
      continue;
    }
    lock.unlock();
    on_line_(line);
  }
}

void Typing::expect_answer() {
  std::lock_guard lock(mutex_);
  asking_ = true;
}

LineReader::Result Typing::answer(std::string* line, int stop_fd) {
  pollfd events[2] = {{answer_, POLLIN, 0}, {stop_fd, POLLIN, 0}};
  while (poll(events, 2, -1) < 0) {
  }
  std::lock_guard lock(mutex_);
  if (events[0].revents == 0) {
    asking_ = false;
    return LineReader::Result::kStopped;
  }
  if (ended_) return LineReader::Result::kEnd;
  eventfd_t taken = 0;
  eventfd_read(answer_, &taken);
  *line = std::move(line_);
  return LineReader::Result::kLine;
}

bool Typing::ended() const {
  std::lock_guard lock(mutex_);
  return ended_;
}

}  // namespace palyra::cli
