// One daemon for one store.
#pragma once

#include "palyra/status.hpp"

#include <string>

namespace palyra::journal::sqlite {

// An exclusive lock on a file that holds the owner's process id; given back when destroyed, and by
// the kernel when the process dies.
class FileLock {
 public:
  // FAILED_PRECONDITION names the process that holds it; PERMISSION_DENIED if the file cannot be
  // written.
  static Result<FileLock> take(const std::string& path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;

 private:
  explicit FileLock(int fd) : fd_(fd) {}

  int fd_;
};

}  // namespace palyra::journal::sqlite
