// SPDX-License-Identifier: Apache-2.0
#include "plugins/tools/workspace.h"

#include "plugins/common/utf8/utf8.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace palyra::tools {
namespace {

constexpr size_t kMaxPath = 4096;

Status problem(std::string sentence) {
  return {Code::kFailedPrecondition, std::move(sentence), PALYRA_ERROR_USER_FAULT};
}

// "/srv/a" contains "/srv/a" and "/srv/a/b", not "/srv/ab". Purely textual: the kernel decides
// later.
bool contains(const std::string& root, const std::string& path) {
  return path.size() >= root.size() && path.compare(0, root.size(), root) == 0 &&
         (path.size() == root.size() || path[root.size()] == '/' || root.back() == '/');
}

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Place> locate(const std::vector<std::string>& roots, const std::string& path) {
  if (roots.empty()) {
    return problem("this agent has no workspace; the operator can set one for the agent");
  }
  if (path.find('\0') != std::string::npos) return problem("a path cannot contain a NUL byte");
  if (path.size() > kMaxPath) return problem("the path is longer than 4096 bytes");
  std::string root = without_slashes(roots.front());
  std::string relative = path;
  if (!path.empty() && path[0] == '/') {
    const std::string* best = nullptr;
    for (const std::string& candidate : roots) {
      if (contains(without_slashes(candidate), path) &&
          (best == nullptr || candidate.size() > best->size())) {
        best = &candidate;
      }
    }
    if (best == nullptr) {
      return problem(path + " is outside the workspace; use a path relative to " + root);
    }
    root = without_slashes(*best);
    relative = path.substr(root.size());
  }
  relative.erase(0, std::min(relative.find_first_not_of('/'), relative.size()));
  relative = without_slashes(relative);
  if (relative.empty()) relative = ".";
  if (root.empty() || root[0] != '/') {
    return Status(Code::kInvalidArgument, "the workspace \"" + root + "\" is not an absolute path");
  }
  // The operator's own path: its symbolic links are meant.
  Place place{Fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), relative, relative};
  if (!place.root.valid()) {
    return Status(Code::kFailedPrecondition, "the workspace " + root +
                                                 " cannot be opened: " + std::strerror(errno) +
                                                 "; create it or correct the agent's settings");
  }
  return place;
}

Result<Fd> open_beneath(int directory, const std::string& relative, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: something was renamed while the kernel looked at "..".
  for (int tries = 0; tries < 32; ++tries) {
    const long fd = ::syscall(SYS_openat2, directory, relative.c_str(), &how, sizeof how);
    if (fd >= 0) return Fd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return file_error(errno, "cannot open", relative);
}

Result<OpenFile> open_regular(int directory, const std::string& relative, const std::string& shown,
                              int extra_flags) {
  Result<Fd> fd = open_beneath(directory, relative, O_RDONLY | extra_flags);
  if (!fd.ok()) return fd.status();
  OpenFile file;
  file.fd = std::move(*fd);
  if (::fstat(file.fd.get(), &file.info) != 0) return file_error(errno, "cannot read", shown);
  if (S_ISDIR(file.info.st_mode)) return problem(shown + " is a directory; use fs.list");
  if (!S_ISREG(file.info.st_mode)) {
    return problem(shown + " is not a regular file but a device, FIFO or socket");
  }
  return file;
}

Result<std::string> read_all(int fd, size_t limit, const std::string& shown) {
  std::string data;
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::pread(fd, buffer, sizeof buffer, static_cast<off_t>(data.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error(errno, "cannot read", shown);
    if (got == 0) return data;
    data.append(buffer, static_cast<size_t>(got));
    if (data.size() > limit) {
      return problem(shown + " is larger than " + std::to_string(limit) +
                     " bytes, the limit of this tool");
    }
  }
}

Status file_error(int error, const std::string& action, const std::string& shown) {
  const std::string what = action + " " + shown + ": ";
  switch (error) {
    case ENOENT:
      return {Code::kNotFound,
              what + "there is no such file or directory; fs.list shows what there is",
              PALYRA_ERROR_USER_FAULT};
    case EXDEV:
      return problem(what + "the path leads out of the workspace");
    case ELOOP:
      return problem(what + "it is or goes through a symbolic link that is not followed");
    case ENOTDIR:
      return problem(what + "a part of the path is not a directory");
    case EISDIR:
      return problem(what + "it is a directory");
    case EACCES:
    case EPERM:
      return problem(what + "permission denied");
    case EEXIST:
      return problem(what + "it exists already");
    case ENAMETOOLONG:
      return problem(what + "the name is too long");
    case ENXIO:
    case ENODEV:
      return problem(what + "it is not a regular file but a device, FIFO or socket");
    case EROFS:
      return problem(what + "the file system is read-only");
    case ENOSPC:
    case EDQUOT:
      return {Code::kResourceExhausted, what + "no space left; free some on the daemon's machine"};
    case ENOSYS:
      return {Code::kUnimplemented, what + "this kernel has no openat2; Linux 5.6 is needed"};
    default:
      return {Code::kInternal, what + std::strerror(error)};
  }
}

bool is_text(const std::string& data) {
  return data.find('\0') == std::string::npos && utf8::valid_beginning(data);
}

}  // namespace palyra::tools
