// A directory that is there for one test.
#pragma once

#include <filesystem>
#include <stdlib.h>
#include <string>

namespace palyra::journal::sqlite {

class TestDirectory {
 public:
  TestDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "palyra-journal-XXXXXX").string();
    path_ = ::mkdtemp(name.data()) == nullptr ? "" : name;
  }
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(path_, ignored);
  }
  TestDirectory(const TestDirectory&) = delete;
  std::string path() const { return path_; }
  std::string store() const { return path_ + "/journal.sqlite"; }

 private:
  std::string path_;
};

}  // namespace palyra::journal::sqlite
