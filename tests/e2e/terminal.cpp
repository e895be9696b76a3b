#include "tests/e2e/terminal.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

namespace palyra::e2e {

Terminal::Terminal(const std::vector<std::string>& arguments,
                   const std::vector<std::string>& environment) {
  pid_ = forkpty(&fd_, nullptr, nullptr, nullptr);
  if (pid_ < 0) throw std::runtime_error("forkpty failed");
  if (pid_ > 0) return;
  setenv("TERM", "xterm", 1);
  unsetenv("NO_COLOR");
  for (const std::string& assignment : environment) putenv(strdup(assignment.c_str()));
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

Terminal::~Terminal() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(fd_);
}

bool Terminal::read_more() {
  pollfd shown = {fd_, POLLIN, 0};
  if (poll(&shown, 1, 20'000) <= 0) {
    kill(pid_, SIGKILL);
    return false;
  }
  char buffer[4096];
  // EIO when the program is gone.
  const ssize_t size = read(fd_, buffer, sizeof buffer);
  if (size <= 0) return false;
  shown_.append(buffer, static_cast<size_t>(size));
  return true;
}

bool Terminal::wait_for(const std::string& text) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (std::chrono::steady_clock::now() < deadline) {
    const size_t at = shown_.find(text, seen_);
    if (at != std::string::npos) {
      seen_ = at + text.size();
      return true;
    }
    if (!read_more()) return false;
  }
  kill(pid_, SIGKILL);
  return false;
}

void Terminal::type(const std::string& keys) {
  if (write(fd_, keys.data(), keys.size()) != static_cast<ssize_t>(keys.size())) {
    throw std::runtime_error("the terminal takes no keys");
  }
}

int Terminal::leave_by(const std::string& keys) {
  for (int quiet = 0; quiet < 100;) {
    if (write(fd_, keys.data(), keys.size()) < 0) break;
    pollfd shown = {fd_, POLLIN, 0};
    if (poll(&shown, 1, 200) <= 0) {
      ++quiet;
    } else if (!read_more()) {
      break;
    }
  }
  return finish();
}

int Terminal::finish() {
  while (read_more()) {
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace palyra::e2e
