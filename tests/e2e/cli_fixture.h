// The real `palyra` beside the real daemon, for stories of the command line.
#pragma once

#include "tests/e2e/daemon.h"
#include "tests/e2e/terminal.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace palyra::e2e {

using nlohmann::json;

using Words = std::vector<std::string>;

inline constexpr char kNoSuchUlid[] = "01J9ZC3V5N8K2M4P6R7S9T0W1X";

inline std::string write_call(const std::string& path) {
  return "/tool fs.write {\"path\": \"" + path +
         "\", \"expected\": \"absent\", \"content\": \"by an agent\"}";
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

inline Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

inline std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class CliTest : public testing::Test {
 protected:
  CliTest() : daemon_(options()) {}
  DaemonOptions options() {
    DaemonOptions options;
    const std::string script =
        files_.write("script.yaml",
                     "steps:\n"
                     "  - when: {contains: hang, in: user}\n"
                     "    text: I think\n"
                     "    hang: true\n"
                     "  - when: {contains: overflow, in: user}\n"
                     "    once: true\n"
                     "    failure: {kind: context_overflow, message: the prompt is too long}\n"
                     "  - when: {contains: attack, in: user}\n"
                     "    text: \"before\\e[2J\\e]0;owned\\a\\u009b31mafter\"\n"
                     "    tool_calls:\n"
                     "      - {name: fs.write, arguments: {path: \"a\\e[2J\\u009bb\", "
                     "expected: absent, content: x}}\n");
    options.embedded = "script = \"" + script + "\"";
    return options;
  }
  void SetUp() override { ASSERT_TRUE(daemon_.start()) << daemon_.log(); }
  void TearDown() override {
    if (daemon_.running()) {
      EXPECT_EQ(daemon_.stop(), 0) << daemon_.log();
    }
  }

  Words palyra(const Words& words) const {
    return with({build_dir() + "/bin/palyra", "--config", daemon_.config_path()}, words);
  }
  std::unique_ptr<Terminal> terminal(const Words& words, const Words& environment = {}) const {
    return std::make_unique<Terminal>(palyra(words), environment);
  }
  // One waiting run, as JSON of `palyra run`.
  json waiting_run(const std::string& path = "out.txt") {
    const Finished run = daemon_.cli({"run", "-o", "json", write_call(path)});
    EXPECT_EQ(run.exit_code, 75) << run.err;
    return json::parse(run.out, nullptr, false);
  }
  bool written(const std::string& path) const {
    return std::filesystem::exists(daemon_.workspace() + "/" + path);
  }

  TempDir files_;
  Daemon daemon_;
};

}  // namespace palyra::e2e
