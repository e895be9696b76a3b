// SPDX-License-Identifier: Apache-2.0
#include "tests/keyed_tool/effect_log.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/file.h>
#include <unistd.h>

namespace palyra::testtools {
namespace {

// Closing gives up the lock as well.
struct File {
  explicit File(const std::string& path)
      : fd(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {}
  File(const File&) = delete;
  ~File() {
    if (fd >= 0) ::close(fd);
  }
  const int fd;
};

Status failed(const std::string& path) {
  return {Code::kInternal, path + ": " + std::strerror(errno)};
}

Status add(int fd, const std::string& path, const std::string& line) {
  const std::string text = line + "\n";
  if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return failed(path);
  }
  return ::fsync(fd) == 0 ? Status() : failed(path);
}

}  // namespace

Status append_line(const std::string& path, const std::string& line) {
  const File file(path);
  if (file.fd < 0) return failed(path);
  return add(file.fd, path, line);
}

Result<KeyedOutcome> append_once(const std::string& path, const std::string& key,
                                 const std::string& rest) {
  const File file(path);
  if (file.fd < 0) return failed(path);
  while (::flock(file.fd, LOCK_EX) != 0) {
    if (errno != EINTR) return failed(path);
  }
  std::string content;
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::pread(file.fd, buffer, sizeof buffer, static_cast<off_t>(content.size()));
    if (got < 0) return failed(path);
    if (got == 0) break;
    content.append(buffer, static_cast<size_t>(got));
  }
  KeyedOutcome outcome;
  bool found = false;
  for (std::string_view left = content; !left.empty();) {
    const std::string_view line = left.substr(0, left.find('\n'));
    ++outcome.effects;
    found = found || line.substr(0, line.find(' ')) == key;
    left.remove_prefix(std::min(left.size(), line.size() + 1));
  }
  if (!found) {
    if (Status status = add(file.fd, path, key + " " + rest); !status.ok()) return status;
    ++outcome.effects;
    outcome.first = true;
  }
  return outcome;
}

}  // namespace palyra::testtools
