// The files of archived segments, as docs/audit-format.md describes them.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace palyra::audit_verify {

// Directories in which they are looked for, in order.
class SegmentFiles {
 public:
  explicit SegmentFiles(std::vector<std::string> directories)
      : directories_(std::move(directories)) {}
  // The lines of the file with this SHA-256 (32 bytes); nothing if no directory has it. A file of
  // that name with another digest, or that cannot be unpacked, is none.
  std::optional<std::string> find(const std::string& digest) const;

 private:
  std::vector<std::string> directories_;
};

// A gzip; nothing if it is none, was cut off, or unpacks to more than `most` bytes.
std::optional<std::string> unpack(const std::string& file, size_t most);

}  // namespace palyra::audit_verify
