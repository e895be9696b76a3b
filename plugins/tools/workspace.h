// SPDX-License-Identifier: Apache-2.0
// Files of an agent's workspace. Every path is resolved by the kernel beneath a held directory
// descriptor (openat2: RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS), and what is opened is what is
// judged: there is no check of a name that is opened later.
//
// All functions may block. [pool]
#pragma once

#include "palyra/status.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <sys/stat.h>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace palyra::tools {

// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// A root, open, and a path to be resolved beneath it.
struct Place {
  Fd root;
  std::string relative;  // "." for the root itself
  std::string shown;     // as people and models should see it: relative to the root
};

// Chooses the root: the first for a relative path, the longest that contains it for an absolute
// one. Problems (flag USER_FAULT): no workspace, an absolute path outside of it, a NUL byte. Opens
// the root only.
Result<Place> locate(const std::vector<std::string>& roots, const std::string& path);

// openat2 beneath `directory`. `flags` as of open; O_CLOEXEC, O_NOCTTY and O_NONBLOCK are added.
Result<Fd> open_beneath(int directory, const std::string& relative, int flags, mode_t mode = 0);

// A regular file for reading and what fstat says of it; a directory, FIFO, device or socket is a
// problem.
struct OpenFile {
  Fd fd;
  struct stat info {};
};
Result<OpenFile> open_regular(int directory, const std::string& relative, const std::string& shown,
                              int extra_flags = 0);

// The whole content of an open file; a problem if it has more than `limit` bytes.
Result<std::string> read_all(int fd, size_t limit, const std::string& shown);

// errno as a Status: a problem where another path would do, otherwise a failure. "cannot read
// a.txt: there is no such file".
Status file_error(int error, const std::string& action, const std::string& shown);

// True if `data` looks like text: UTF-8 (cut at the end, if so) without NUL.
bool is_text(const std::string& data);

}  // namespace palyra::tools
