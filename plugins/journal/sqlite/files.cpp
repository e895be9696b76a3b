#include "plugins/journal/sqlite/files.h"

#include "plugins/common/digest/digest.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <vector>

namespace palyra::journal::files {
namespace {

constexpr size_t kBlock = 1 << 20;

std::string parent(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder;
}

class File {
 public:
  File(const std::string& path, int flags)
      : path_(path), fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  bool is_open() const { return fd_ >= 0; }
  Status error() const { return files::error(path_, errno); }
  uint64_t size() const {
    struct stat info {};
    return ::fstat(fd_, &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
  }
  // Bytes, 0 = the end.
  Result<size_t> read(char* out, size_t size) const {
    while (true) {
      const ssize_t got = ::read(fd_, out, size);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) return error();
    }
  }
  Status write(std::string_view data) const {
    while (!data.empty()) {
      const ssize_t put = ::write(fd_, data.data(), data.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return error();
      data.remove_prefix(static_cast<size_t>(put));
    }
    return {};
  }
  Status sync() const { return ::fsync(fd_) == 0 ? Status() : error(); }

 private:
  const std::string path_;
  const int fd_;
};

// Reads all of `from`, writes it to `to` unless that is null.
Result<Digest> pass(const File& from, const File* to, const Progress& progress) {
  const uint64_t total = from.size();
  digest::Sha256 sha256;
  Digest result;
  std::vector<char> block(kBlock);
  while (true) {
    const Result<size_t> got = from.read(block.data(), block.size());
    if (!got.ok()) return got.status();
    if (*got == 0) break;
    const std::string_view data(block.data(), *got);
    sha256.update(data);
    if (to != nullptr) {
      if (Status status = to->write(data); !status.ok()) return status;
    }
    result.size += *got;
    if (progress && !progress(result.size, total)) return Status(Code::kCancelled, "stopped");
  }
  result.sha256 = sha256.finish();
  return result;
}

}  // namespace

Status error(const std::string& path, int system_error) {
  const std::string text = path + ": " + std::strerror(system_error);
  switch (system_error) {
    case ENOENT:
      return {Code::kNotFound, text};
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
      return {Code::kPermissionDenied, text};
    case EEXIST:
      return {Code::kAlreadyExists, text};
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return {Code::kResourceExhausted, text + "; free space there"};
    default:
      return {Code::kUnavailable, text};
  }
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

uint64_t size(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

uint64_t free_bytes(const std::string& path) {
  struct statvfs disk {};
  if (::statvfs(parent(path).c_str(), &disk) != 0) return UINT64_MAX;
  return uint64_t{disk.f_bavail} * disk.f_frsize;
}

Status check_room(const std::string& path, uint64_t needed, const std::string& purpose) {
  const uint64_t free = free_bytes(path);
  if (free >= needed) return {};
  return {Code::kResourceExhausted, purpose + " needs " + std::to_string((needed >> 20) + 1) +
                                        " MiB and " + parent(path) + " has " +
                                        std::to_string(free >> 20) + " MiB free; free space there"};
}

Result<Digest> digest(const std::string& path, const Progress& progress) {
  const File file(path, O_RDONLY);
  if (!file.is_open()) return file.error();
  return pass(file, nullptr, progress);
}

Result<Digest> copy(const std::string& from, const std::string& to, const Progress& progress) {
  const File source(from, O_RDONLY);
  if (!source.is_open()) return source.error();
  const File target(to, O_WRONLY | O_CREAT | O_EXCL);
  if (!target.is_open()) return target.error();
  Result<Digest> result = pass(source, &target, progress);
  if (!result.ok()) return result;
  if (Status status = target.sync(); !status.ok()) return status;
  return result;
}

Result<std::string> read(const std::string& path, size_t limit) {
  const File file(path, O_RDONLY);
  if (!file.is_open()) return file.error();
  std::string content(limit + 1, '\0');
  size_t size = 0;
  while (size < content.size()) {
    const Result<size_t> got = file.read(content.data() + size, content.size() - size);
    if (!got.ok()) return got.status();
    if (*got == 0) break;
    size += *got;
  }
  if (size > limit) {
    return Status(Code::kOutOfRange, path + ": larger than " + std::to_string(limit) + " bytes");
  }
  content.resize(size);
  return content;
}

Status write(const std::string& path, std::string_view content) {
  const File file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file.is_open()) return file.error();
  Status status = file.write(content);
  return status.ok() ? file.sync() : status;
}

Status sync(const std::string& path) {
  const File file(path, O_RDONLY);
  return file.is_open() ? file.sync() : file.error();
}

Status sync_directory_of(const std::string& path) {
  // An operator may have put the folder elsewhere, behind a link.
  const File folder(parent(path) + "/.", O_RDONLY | O_DIRECTORY);
  return folder.is_open() ? folder.sync() : folder.error();
}

Status rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return error(from, errno);
  return sync_directory_of(to);
}

Status remove(const std::string& path) {
  return ::unlink(path.c_str()) == 0 || errno == ENOENT ? Status() : error(path, errno);
}

Status make_directory(const std::string& path) {
  std::error_code problem;
  if (std::filesystem::is_directory(path, problem)) return {};
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), problem);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return error(path, errno);
  return sync_directory_of(path);
}

}  // namespace palyra::journal::files
