#include "clients/cli/line_reader.h"

#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace palyra::cli {

LineReader& LineReader::standard_input() {
  // Ctrl-C throws away what was typed, also between poll() and read(), which would block then. An
  // open file of our own, because O_NONBLOCK on the shared one would reach the shell.
  static LineReader reader([] {
    const int own =
        isatty(0) == 1 ? open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
    return own >= 0 ? own : 0;
  }());
  return reader;
}

LineReader::Result LineReader::read(std::string* line, int stop_fd) {
  while (true) {
    const size_t newline = pending_.find('\n');
    if (newline != std::string::npos || (ended_ && !pending_.empty())) {
      *line = pending_.substr(0, newline);
      pending_.erase(0, newline == std::string::npos ? newline : newline + 1);
      if (!line->empty() && line->back() == '\r') line->pop_back();
      return Result::kLine;
    }
    if (ended_) return Result::kEnd;
    pollfd events[2] = {{fd_, POLLIN, 0}, {stop_fd, POLLIN, 0}};
    if (poll(events, 2, -1) < 0) {
      ended_ = errno != EINTR;
      continue;
    }
    if (events[1].revents != 0) return Result::kStopped;
    char buffer[4096];
    const ssize_t size = ::read(fd_, buffer, sizeof buffer);
    if (size > 0) {
      pending_.append(buffer, static_cast<size_t>(size));
    } else if (size == 0) {
      // Ctrl-D ends this line and the input.
      ended_ = true;
    } else {
      ended_ = errno != EINTR && errno != EAGAIN;
    }
  }
}

}  // namespace palyra::cli
