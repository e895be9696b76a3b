// Where the files of the archive are: a flat directory of names that the journal makes from
// digests.
#pragma once

#include "palyra/status.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace palyra::journal {

// Functions from any thread.
class SegmentFiles {
 public:
  virtual ~SegmentFiles() = default;
  // Durable when it returns, the directory too. An existing file is replaced by the same bytes.
  virtual Status write(const std::string& name, const std::string& bytes) = 0;
  // NOT_FOUND if it is not there; DATA_LOSS if what is there is no file that can be read.
  virtual Result<std::string> read(const std::string& name) = 0;
  // Absent is not an error.
  virtual Status remove(const std::string& name) = 0;
  virtual std::string location() const = 0;
};

// <digest in hex>.ndjson.gz
std::string segment_name(const std::string& digest);

// A directory, made with the first file, mode 0700.
class DirectorySegmentFiles : public SegmentFiles {
 public:
  explicit DirectorySegmentFiles(std::string directory) : directory_(std::move(directory)) {}
  Status write(const std::string& name, const std::string& bytes) override;
  Result<std::string> read(const std::string& name) override;
  Status remove(const std::string& name) override;
  std::string location() const override { return directory_; }

 private:
  const std::string directory_;
};

// For tests and the simulation: what is in here survives a crash of the store.
class MemorySegmentFiles : public SegmentFiles {
 public:
  Status write(const std::string& name, const std::string& bytes) override {
    files[name] = bytes;
    return {};
  }
  Result<std::string> read(const std::string& name) override {
    const auto found = files.find(name);
    if (found == files.end()) return Status(Code::kNotFound, "no file " + name);
    return found->second;
  }
  Status remove(const std::string& name) override {
    files.erase(name);
    return {};
  }
  std::string location() const override { return "memory"; }

  std::map<std::string, std::string> files;
};

}  // namespace palyra::journal
