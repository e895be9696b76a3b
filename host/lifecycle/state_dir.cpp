// SPDX-License-Identifier: Apache-2.0
#include "host/lifecycle/state_dir.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace palyra::host {
namespace {

bool disk_is_full(int error) { return error == ENOSPC || error == EDQUOT; }

Status refused(const std::filesystem::path& path, const char* what, int error) {
  const std::string words =
      "the state directory " + path.string() + ' ' + what + ": " + std::strerror(error);
  if (disk_is_full(error)) return {Code::kResourceExhausted, words + "; make room on its disk"};
  return {Code::kPermissionDenied,
          words + "; set daemon.state_dir to a directory that this user owns"};
}

}  // namespace

Status make_private_dir(const std::filesystem::path& path) {
  std::error_code error;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (error) return refused(path, "cannot be made", error.value());
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return refused(path, "cannot be made", errno);
  }
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return refused(path, "cannot be used", errno);
  if (!S_ISDIR(info.st_mode)) return refused(path, "cannot be used", ENOTDIR);
  if ((info.st_mode & 077) != 0 && ::chmod(path.c_str(), 0700) != 0) {
    return refused(path, "is open to others", errno);
  }
  if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0) {
    return refused(path, "cannot be written to", errno);
  }
  return {};
}

Result<std::unique_ptr<PidFile>> PidFile::lock(const std::filesystem::path& state_dir) {
  const auto path = state_dir / "palyrad.pid";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return refused(state_dir, "cannot hold palyrad.pid", errno);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char text[32] = {};
    const ssize_t size = ::pread(fd, text, sizeof(text) - 1, 0);
    ::close(fd);
    std::string pid(text, size > 0 ? static_cast<size_t>(size) : 0);
    while (!pid.empty() && pid.back() == '\n') pid.pop_back();
    return Status(Code::kAlreadyExists,
                  "another palyrad" + (pid.empty() ? "" : " (process " + pid + ")") +
                      " already uses the state directory " + state_dir.string() +
                      "; stop it or set daemon.state_dir to another directory");
  }
  const std::string pid = std::to_string(::getpid()) + '\n';
  const ssize_t written = ::pwrite(fd, pid.data(), pid.size(), 0);
  const bool full = written < 0 && disk_is_full(errno);
  // On a full disk the lock is held without a number, which only serves those who look for us.
  if ((written != static_cast<ssize_t>(pid.size()) && !full) ||
      ::ftruncate(fd, full ? 0 : written) != 0) {
    const int error = errno;
    ::close(fd);
    return refused(state_dir, "cannot hold palyrad.pid", error);
  }
  return std::unique_ptr<PidFile>(new PidFile(fd));
}

// Not removed: that would let two daemons lock two files of one name. Not emptied: the next start
// has room for its number even if the disk is full by then.
PidFile::~PidFile() {
  if (::pwrite(fd_, "\n", 1, 0) == 1) {
    [[maybe_unused]] const int ignored = ::ftruncate(fd_, 1);
  }
  ::close(fd_);
}

}  // namespace palyra::host
