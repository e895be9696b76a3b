// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/secrets.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <sys/stat.h>
#include <unistd.h>

namespace palyra::host {
namespace {

Result<std::string> read_file(const std::string& path) {
  if (path.empty() || path.front() != '/') {
    return Status(Code::kInvalidArgument,
                  "the secret reference file:" + path + " needs an absolute path",
                  PALYRA_ERROR_USER_FAULT);
  }
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    const int error = errno;
    const Code code = error == EACCES || error == EPERM ? Code::kPermissionDenied : Code::kNotFound;
    return Status(code, "the secret file " + path + " cannot be opened: " + std::strerror(error));
  }
  struct stat info = {};
  std::string value;
  Status status;
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    status = {Code::kInvalidArgument, "the secret file " + path + " is not a regular file"};
  } else {
    value.resize(Secrets::kLargest + 2);
    size_t size = 0;
    ssize_t count = 0;
    while (size < value.size() &&
           (count = ::read(fd, value.data() + size, value.size() - size)) != 0) {
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        status = {Code::kUnavailable,
                  "the secret file " + path + " cannot be read: " + std::strerror(errno)};
        break;
      }
      size += static_cast<size_t>(count);
    }
    value.resize(size);
    if (!value.empty() && value.back() == '\n') value.pop_back();
    if (status.ok() && value.size() > Secrets::kLargest) {
      status = {Code::kInvalidArgument, "the secret file " + path + " is larger than 64 KiB"};
    }
  }
  ::close(fd);
  if (!status.ok()) return status;
  return value;
}

}  // namespace

Result<std::string> Secrets::resolve(std::string_view reference) {
  if (reference.starts_with("env:") && reference.size() > 4) {
    const std::string name(reference.substr(4));
    auto value = variables_(name.c_str());
    if (!value) {
      return Status(Code::kNotFound, "the environment variable " + name +
                                         " is not set; set it where palyrad is started");
    }
    remember(*value);
    return std::move(*value);
  }
  if (reference.starts_with("file:")) {
    auto value = read_file(std::string(reference.substr(5)));
    if (value) remember(*value);
    return value;
  }
  // The reference itself may be a key pasted in the wrong place: it is not repeated.
  return Status(Code::kInvalidArgument,
                reference.starts_with("vault:")
                    ? "vault: references are resolved by the vault service, not by the host"
                    : "a secret reference is env:NAME or file:/PATH",
                PALYRA_ERROR_USER_FAULT);
}

void Secrets::remember(const std::string& value) {
  if (value.size() < kShortestRedacted) return;
  const std::unique_lock lock(mutex_);
  if (std::find(values_.begin(), values_.end(), value) != values_.end()) return;
  values_.push_back(value);
  std::sort(values_.begin(), values_.end(),
            [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
  any_.store(true, std::memory_order_release);
}

void Secrets::redact(std::string& text) const {
  if (!any_.load(std::memory_order_acquire)) return;
  constexpr std::string_view kInstead = "[secret]";
  const std::shared_lock lock(mutex_);
  for (const auto& value : values_) {
    for (size_t at = text.find(value); at != std::string::npos;
         at = text.find(value, at + kInstead.size())) {
      text.replace(at, value.size(), kInstead);
    }
  }
}

}  // namespace palyra::host
