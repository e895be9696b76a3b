// SPDX-License-Identifier: Apache-2.0
#include "plugins/tools/walk.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <vector>

namespace palyra::tools {
namespace {

struct Closer {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

class Walker {
 public:
  Walker(const WalkLimits& limits, const std::function<bool(const Entry&)>& visit)
      : limits_(limits), visit_(visit) {}

  Status go(Fd directory, const std::string& prefix, int depth) {
    std::unique_ptr<DIR, Closer> dir(::fdopendir(directory.get()));
    if (!dir) return file_error(errno, "cannot list", prefix.empty() ? "." : prefix);
    directory.release();
    const int fd = ::dirfd(dir.get());
    std::vector<std::string> names;
    for (errno = 0; const dirent* entry = ::readdir(dir.get()); errno = 0) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (names.size() == limits_.entries_of_one) {
        complete_ = false;
        break;
      }
      names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      struct stat info {};
      // Gone since it was listed.
      if (::fstatat(fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
      Entry entry{prefix + name, 'o', 0, fd, name};
      if (S_ISREG(info.st_mode)) {
        entry.type = 'f';
        entry.size = info.st_size;
      } else if (S_ISDIR(info.st_mode)) {
        entry.type = 'd';
      } else if (S_ISLNK(info.st_mode)) {
        entry.type = 'l';
      }
      if (!visit_(entry)) {
        stopped_ = true;
        complete_ = false;
        return {};
      }
      if (entry.type != 'd' || depth >= limits_.depth) continue;
      Result<Fd> child = open_beneath(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      // Unreadable, or replaced by a link: not part of the tree.
      if (!child.ok()) {
        complete_ = false;
        continue;
      }
      if (Status status = go(std::move(*child), entry.path + "/", depth + 1); !status.ok()) {
        return status;
      }
      if (stopped_) return {};
    }
    return {};
  }
  bool complete() const { return complete_; }

 private:
  const WalkLimits& limits_;
  const std::function<bool(const Entry&)>& visit_;
  bool complete_ = true;
  bool stopped_ = false;
};

}  // namespace

Result<bool> walk(Fd directory, const WalkLimits& limits,
                  const std::function<bool(const Entry&)>& visit) {
  Walker walker(limits, visit);
  if (Status status = walker.go(std::move(directory), "", 1); !status.ok()) return status;
  return walker.complete();
}

}  // namespace palyra::tools
