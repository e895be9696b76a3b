#include "tests/chaos/fault_vfs/unsynced.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace palyra::chaos {
namespace {

int64_t size_of(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 ? static_cast<int64_t>(info.st_size) : 0;
}

std::string read_at(int fd, int64_t offset, size_t size) {
  std::string out(size, '\0');
  const ssize_t got = ::pread(fd, out.data(), size, offset);
  out.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return out;
}

// A file that cannot be put back would make a history that no disk has.
void must(bool done) {
  if (!done) ::_exit(99);
}

void write_at(int fd, int64_t offset, const std::string& data) {
  must(::pwrite(fd, data.data(), data.size(), offset) == static_cast<ssize_t>(data.size()));
}

}  // namespace

void Unsynced::will_write(int64_t offset, const void* data, size_t size) {
  const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  Change change;
  change.offset = offset;
  change.before = read_at(fd, offset, size);
  change.after.assign(static_cast<const char*>(data), size);
  change.size_before = size_of(fd);
  ::close(fd);
  changes_.push_back(std::move(change));
}

void Unsynced::will_truncate(int64_t size) {
  const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  Change change;
  change.size_before = size_of(fd);
  change.offset = size;
  change.truncated = true;
  if (change.size_before > size) {
    change.before = read_at(fd, size, static_cast<size_t>(change.size_before - size));
  }
  ::close(fd);
  changes_.push_back(std::move(change));
}

uint64_t Unsynced::lose(uint32_t percent, std::mt19937_64& random, bool keep_last) {
  if (percent == 0 || changes_.empty()) return 0;
  const int fd = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
  must(fd >= 0);
  for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
    write_at(fd, change->offset, change->before);
    must(::ftruncate(fd, change->size_before) == 0);
  }
  uint64_t lost = 0;
  for (size_t i = 0; i < changes_.size(); ++i) {
    const Change& change = changes_[i];
    const bool kept = keep_last && i + 1 == changes_.size();
    if (!kept && random() % 100 < percent) {
      ++lost;
    } else if (change.truncated) {
      must(::ftruncate(fd, change.offset) == 0);
    } else {
      write_at(fd, change.offset, change.after);
    }
  }
  ::close(fd);
  changes_.clear();
  return lost;
}

}  // namespace palyra::chaos
