// SPDX-License-Identifier: Apache-2.0
#include "host/lifecycle/state_dir.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace palyra::host {
namespace {

struct StateDirTest : ::testing::Test {
  std::filesystem::path directory = [] {
    std::string name = ::testing::TempDir() + "state-XXXXXX";
    return std::filesystem::path(::mkdtemp(name.data()));
  }();
  ~StateDirTest() override { std::filesystem::remove_all(directory); }

  static mode_t mode(const std::filesystem::path& path) {
    struct stat info = {};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
  }
};

TEST_F(StateDirTest, IsMadeForItsOwnerOnly) {
  EXPECT_TRUE(make_private_dir(directory / "a/b").ok());
  EXPECT_EQ(mode(directory / "a/b"), 0700u);
}

TEST_F(StateDirTest, OneThatIsOpenToOthersIsClosed) {
  std::filesystem::create_directory(directory / "open");
  std::filesystem::permissions(directory / "open", std::filesystem::perms::all);
  EXPECT_TRUE(make_private_dir(directory / "open").ok());
  EXPECT_EQ(mode(directory / "open"), 0700u);
}

TEST_F(StateDirTest, AFileInItsPlaceIsRefusedWithWhatToDo) {
  std::ofstream(directory / "file") << "x";
  const Status status = make_private_dir(directory / "file");
  EXPECT_EQ(status.code(), Code::kPermissionDenied);
  EXPECT_NE(status.message().find("set daemon.state_dir"), std::string::npos);
  EXPECT_FALSE(make_private_dir(directory / "file/below").ok());
  EXPECT_FALSE(make_private_dir("/proc/palyra").ok());
}

TEST_F(StateDirTest, IsLockedOnceAndFreeAgainAfterwards) {
  {
    const auto first = PidFile::lock(directory);
    ASSERT_TRUE(first.ok());
    const auto second = PidFile::lock(directory);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.status().code(), Code::kAlreadyExists);
    EXPECT_NE(second.status().message().find("process " + std::to_string(::getpid())),
              std::string::npos);
  }
  EXPECT_TRUE(PidFile::lock(directory).ok());
}

TEST_F(StateDirTest, TheNextStartNeedsNoRoomOnTheDiskForItsNumber) {
  { ASSERT_TRUE(PidFile::lock(directory).ok()); }
  EXPECT_EQ(std::filesystem::file_size(directory / "palyrad.pid"), 1u);
}

TEST_F(StateDirTest, ALockFileThatIsALinkIsNotFollowed) {
  std::filesystem::create_symlink("/etc/hostname", directory / "palyrad.pid");
  EXPECT_FALSE(PidFile::lock(directory).ok());
}

}  // namespace
}  // namespace palyra::host
