#include "plugins/journal/sqlite/file_lock.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <utility>

namespace palyra::journal::sqlite {

Result<FileLock> FileLock::take(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    const int error = errno;
    return Status(error == ENOSPC ? Code::kResourceExhausted : Code::kPermissionDenied,
                  "journal: " + path + " cannot be written (" + std::strerror(error) +
                      "); the state directory must exist and be writable");
  }
  FileLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char pid[32] = {};
    const ssize_t size = ::pread(fd, pid, sizeof pid - 1, 0);
    std::string owner(pid, size > 0 ? static_cast<size_t>(size) : 0);
    owner.erase(owner.find_last_not_of('\n') + 1);
    return Status(Code::kFailedPrecondition,
                  "journal: " + path + " is held by " +
                      (owner.empty() ? "another process" : "process " + owner) +
                      "; stop that daemon first, or give this one another state directory");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    return Status(Code::kResourceExhausted,
                  "journal: " + path + " cannot be written (" + std::strerror(errno) + ")");
  }
  return lock;
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

}  // namespace palyra::journal::sqlite
