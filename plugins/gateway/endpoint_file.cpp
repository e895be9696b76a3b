#include "plugins/gateway/endpoint_file.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>

namespace palyra::gateway {

Status write_endpoint(const std::string& path, const std::string& endpoint) {
  const std::string text = endpoint + "\n";
  const std::string part = path + ".new";
  ::unlink(part.c_str());
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  const bool written =
      fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int write_error = errno;
  if (fd >= 0) ::close(fd);
  if (written && ::rename(part.c_str(), path.c_str()) == 0) return {};
  const int error = written ? errno : write_error;
  return Status(Code::kUnavailable,
                "cannot write " + path + ": " + std::generic_category().message(error));
}

void remove_endpoint(const std::string& path) { ::unlink(path.c_str()); }

}  // namespace palyra::gateway
