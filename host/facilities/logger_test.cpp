// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/logger.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace palyra::host {
namespace {

constexpr int64_t kWhen = 1'700'000'000'123'456'789;

std::string format(LogFormat format, std::string_view message,
                   std::vector<palyra_field> fields = {}, const Secrets* secrets = nullptr) {
  return Logger::format_line(format, kWhen, PALYRA_LOG_WARN, "web", message, fields.data(),
                             static_cast<uint32_t>(fields.size()), secrets);
}

TEST(Logger, TextHasTimeLevelInstanceMessageAndFields) {
  EXPECT_EQ(format(LogFormat::kText, "slow",
                   {{to_str("ms"), to_str("12")}, {to_str("why"), to_str("no idea")}}),
            "2023-11-14T22:13:20.123Z warn  web: slow ms=12 why=\"no idea\"");
}

TEST(Logger, AMessageCannotForgeALineOrMoveTheCursor) {
  const auto line = format(LogFormat::kText, "a\nhost: all is well\x1b[2J");
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
}

TEST(Logger, JsonIsJsonWhateverIsSaid) {
  const auto line = nlohmann::json::parse(
      format(LogFormat::kJson, "bad \xff \"utf8\"\n", {{to_str("k"), to_str("v")}}));
  EXPECT_EQ(line["level"], "warn");
  EXPECT_EQ(line["instance"], "web");
  EXPECT_EQ(line["fields"]["k"], "v");
}

TEST(Logger, SecretsAreReplacedInMessagesAndFieldsBeforeFormatting) {
  Secrets secrets([](const char*) { return "with \"quotes\""; });
  (void)secrets.resolve("env:ANY");
  for (const auto kind : {LogFormat::kText, LogFormat::kJson}) {
    const auto line =
        format(kind, "m with \"quotes\"", {{to_str("f"), to_str("with \"quotes\"")}}, &secrets);
    EXPECT_EQ(line.find("quotes"), std::string::npos) << line;
  }
}

TEST(Logger, WritesWholeLinesFromManyThreadsToItsFile) {
  const auto file =
      std::filesystem::path(::testing::TempDir()) / ("palyra-log-" + std::to_string(::getpid()));
  {
    auto log = Logger::open(PALYRA_LOG_INFO, LogFormat::kText, file, nullptr);
    ASSERT_TRUE(log.ok());
    EXPECT_FALSE((*log)->enabled(PALYRA_LOG_DEBUG));
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&log] {
        for (int i = 0; i < 100; ++i) (*log)->info("a line");
        (*log)->write(PALYRA_LOG_DEBUG, "x", "not written");
      });
    }
    for (auto& thread : threads) thread.join();
  }
  std::ifstream in(file);
  size_t lines = 0;
  for (std::string line; std::getline(in, line); ++lines) {
    EXPECT_TRUE(line.ends_with("host: a line")) << line;
  }
  EXPECT_EQ(lines, 400u);
  std::filesystem::remove(file);
}

TEST(Logger, AFileThatCannotBeOpenedIsAnError) {
  const auto log = Logger::open(PALYRA_LOG_INFO, LogFormat::kText, "/proc/nowhere/x", nullptr);
  ASSERT_FALSE(log.ok());
  EXPECT_NE(log.status().message().find("[log] file"), std::string::npos);
}

}  // namespace
}  // namespace palyra::host
