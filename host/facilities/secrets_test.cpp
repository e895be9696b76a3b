// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/secrets.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace palyra::host {
namespace {

struct SecretsTest : ::testing::Test {
  std::filesystem::path directory = [] {
    std::string name = ::testing::TempDir() + "secrets-XXXXXX";
    return std::filesystem::path(::mkdtemp(name.data()));
  }();
  ~SecretsTest() override { std::filesystem::remove_all(directory); }

  std::string file(const std::string& content) {
    std::ofstream(directory / "key") << content;
    return "file:" + (directory / "key").string();
  }
  Secrets secrets{[](const char* name) -> std::optional<std::string> {
    if (std::string_view(name) == "KEY") return "from-the-environment";
    return std::nullopt;
  }};
};

TEST_F(SecretsTest, ComeFromTheEnvironmentOrAFile) {
  EXPECT_EQ(*secrets.resolve("env:KEY"), "from-the-environment");
  EXPECT_EQ(*secrets.resolve(file("from-a-file\n")), "from-a-file");
  EXPECT_EQ(*secrets.resolve(file("two\n\n")), "two\n");
}

TEST_F(SecretsTest, SayWhatIsMissing) {
  const auto unset = secrets.resolve("env:OTHER");
  EXPECT_EQ(unset.status().code(), Code::kNotFound);
  EXPECT_NE(unset.status().message().find("OTHER is not set"), std::string::npos);
  EXPECT_EQ(secrets.resolve("file:/no/such/file").status().code(), Code::kNotFound);
  EXPECT_EQ(secrets.resolve("file:relative").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(secrets.resolve("file:" + directory.string()).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(secrets.resolve("vault:x").status().code(), Code::kInvalidArgument);
}

TEST_F(SecretsTest, ALiteralKeyInPlaceOfAReferenceIsNotRepeated) {
  const auto refused = secrets.resolve("sk-live-1234567890");
  EXPECT_EQ(refused.status().code(), Code::kInvalidArgument);
  EXPECT_EQ(refused.status().message().find("sk-live"), std::string::npos);
}

TEST_F(SecretsTest, AFileOfMoreThan64KiBIsRefused) {
  EXPECT_TRUE(secrets.resolve(file(std::string(Secrets::kLargest, 'x') + '\n')).ok());
  EXPECT_EQ(secrets.resolve(file(std::string(Secrets::kLargest + 1, 'x'))).status().code(),
            Code::kInvalidArgument);
}

TEST_F(SecretsTest, ResolvedOnesDisappearFromText) {
  std::string text = "from-the-environment";
  secrets.redact(text);
  EXPECT_EQ(text, "from-the-environment");
  (void)secrets.resolve("env:KEY");
  text = "<from-the-environment|from-the-environment>";
  secrets.redact(text);
  EXPECT_EQ(text, "<[secret]|[secret]>");
}

}  // namespace
}  // namespace palyra::host
