#include "plugins/journal/segment_files.h"

#include "plugins/common/digest/digest.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace palyra::journal {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  int get() const { return fd_; }
  int close() { return fd_ < 0 ? 0 : ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

Status problem(const std::string& what, const std::string& path, int error) {
  if (error == ENOSPC || error == EDQUOT) {
    return {Code::kResourceExhausted, "archive " + path + ": the disk is full; free space there",
            PALYRA_ERROR_RETRYABLE};
  }
  const Code code = error == ENOENT ? Code::kNotFound
                    : error == EACCES || error == EPERM || error == EROFS || error == ELOOP
                        ? Code::kPermissionDenied
                        : Code::kUnavailable;
  return {code, "archive " + path + ": cannot be " + what + " (" + std::strerror(error) + ")"};
}

}  // namespace

std::string segment_name(const std::string& digest) {
  return digest::to_hex(digest) + ".ndjson.gz";
}

Status DirectorySegmentFiles::write(const std::string& name, const std::string& bytes) {
  if (::mkdir(directory_.c_str(), 0700) != 0 && errno != EEXIST) {
    return problem("made", directory_, errno);
  }
  const Descriptor directory(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return problem("opened", directory_, errno);
  const std::string part = name + ".part";
  const std::string path = directory_ + "/" + name;
  Descriptor file(::openat(directory.get(), part.c_str(),
                           O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                           0600));
  if (file.get() < 0) return problem("written", path, errno);
  int error = 0;
  for (size_t at = 0; at < bytes.size() && error == 0;) {
    const ssize_t size = ::write(file.get(), bytes.data() + at, bytes.size() - at);
    if (size > 0) {
      at += static_cast<size_t>(size);
    } else if (errno != EINTR) {
      error = size == 0 ? EIO : errno;
    }
  }
  if (error == 0 && ::fsync(file.get()) != 0) error = errno;
  if (file.close() != 0 && error == 0) error = errno;
  if (error == 0 && ::renameat(directory.get(), part.c_str(), directory.get(), name.c_str()) != 0) {
    error = errno;
  }
  if (error == 0 && ::fsync(directory.get()) != 0) error = errno;
  if (error == 0) return {};
  (void)::unlinkat(directory.get(), part.c_str(), 0);
  return problem("written", path, error);
}

Result<std::string> DirectorySegmentFiles::read(const std::string& name) {
  const std::string path = directory_ + "/" + name;
  // What cannot be read is as good as altered, and is told by whoever finds it; only what will pass
  // is another error.
  const auto unreadable = [&path](int error) {
    Status status = problem("read", path, error);
    const bool passes = error == ENOENT || error == EMFILE || error == ENFILE || error == ENOMEM;
    return passes ? status : Status(Code::kDataLoss, status.message());
  };
  // A pipe in its place would keep the reader for ever.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) return unreadable(errno);
  struct stat info {};
  // No file of ours is larger than its text; another one is not read into memory.
  constexpr off_t kMost = 16 << 20;
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > kMost) {
    return Status(Code::kDataLoss, "archive " + path + ": not a file of the archive");
  }
  std::string bytes(static_cast<size_t>(info.st_size), '\0');
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t size = ::read(file.get(), bytes.data() + at, bytes.size() - at);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return unreadable(size < 0 ? errno : EIO);
    at += static_cast<size_t>(size);
  }
  return bytes;
}

Status DirectorySegmentFiles::remove(const std::string& name) {
  const std::string path = directory_ + "/" + name;
  (void)::unlink((path + ".part").c_str());
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return problem("removed", path, errno);
  const Descriptor directory(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) (void)::fsync(directory.get());
  return {};
}

}  // namespace palyra::journal
