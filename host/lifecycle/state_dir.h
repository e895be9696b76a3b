// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "palyra/status.hpp"

#include <filesystem>
#include <memory>

namespace palyra::host {

// Makes the directory and its parents, mode 0700, or tightens the mode of what is there. Errors:
// PERMISSION_DENIED, RESOURCE_EXHAUSTED if the disk is full; both say what to do.
Status make_private_dir(const std::filesystem::path& path);

// The lock that one daemon holds on its state directory: `<state_dir>/palyrad.pid`, locked and
// holding its process id. Released with the object or the process, so a stale file is no obstacle.
class PidFile {
 public:
  // Errors: ALREADY_EXISTS, naming the other process; those of make_private_dir(). A full disk is
  // none where a daemon ran before: reads go on, and so does what waits once there is room.
  static Result<std::unique_ptr<PidFile>> lock(const std::filesystem::path& state_dir);
  ~PidFile();
  PidFile(const PidFile&) = delete;

 private:
  explicit PidFile(int fd) : fd_(fd) {}
  const int fd_;
};

}  // namespace palyra::host
