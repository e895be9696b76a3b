// Commands in the documentation are run as they stand there: every block that begins with
// "```sh run", each in a shell of its own, against a daemon of this test.
#include "tests/e2e/daemon.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace palyra::e2e {
namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Block {
  int line = 0;
  std::string commands;
};

std::vector<Block> blocks_of(const std::string& markdown) {
  std::vector<Block> blocks;
  std::istringstream lines(markdown);
  bool inside = false;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.rfind("```", 0) == 0) {
      inside = line == "```sh run";
      if (inside) blocks.push_back({number, ""});
    } else if (inside) {
      blocks.back().commands += line + "\n";
    }
  }
  return blocks;
}

std::vector<fs::path> pages() {
  std::vector<fs::path> found = {fs::path(source_dir()) / "README.md"};
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(source_dir()) / "docs")) {
    if (entry.path().extension() == ".md") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

TEST(Docs, EveryRunnableBlockRuns) {
  Daemon daemon;
  ASSERT_TRUE(daemon.start()) << daemon.log();
  int blocks = 0;
  for (const fs::path& page : pages()) {
    for (const Block& block : blocks_of(slurp(page))) {
      const TempDir directory;
      const Finished done = run_program(
          {"/bin/bash", "-c", "set -euo pipefail; cd " + directory.path() + "\n" + block.commands},
          "",
          {"PATH=" + build_dir() + "/bin:/usr/bin:/bin", "PALYRA_CONFIG=" + daemon.config_path(),
           "NO_COLOR=1"});
      EXPECT_EQ(done.exit_code, 0) << page << " line " << block.line << "\n"
                                   << done.out << done.err;
      ++blocks;
    }
  }
  EXPECT_GE(blocks, 3) << "docs/cli.md has some";
  EXPECT_EQ(daemon.stop(), 0);
}

// "code" -> its line of the table.
std::vector<std::string> codes_of(const std::string& markdown) {
  std::vector<std::string> codes;
  const size_t section = markdown.find("## Exit codes");
  std::istringstream lines(markdown.substr(section));
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("| ", 0) != 0 || line[2] < '0' || line[2] > '9') continue;
    codes.push_back(line.substr(2, line.find(' ', 2) - 2));
  }
  return codes;
}

TEST(Docs, TheExitCodesAreThoseOfTheProgram) {
  std::vector<std::string> wanted;
  std::istringstream header(slurp(fs::path(source_dir()) / "clients/cli/exit_codes.h"));
  for (std::string line; std::getline(header, line);) {
    const size_t equals = line.find(" = ");
    if (line.rfind("  kExit", 0) != 0 || equals == std::string::npos) continue;
    wanted.push_back(line.substr(equals + 3, line.find(',', equals) - equals - 3));
  }
  EXPECT_EQ(codes_of(slurp(fs::path(source_dir()) / "docs/cli.md")), wanted);
}

TEST(Docs, EveryCommandIsInTheTable) {
  const std::string page = slurp(fs::path(source_dir()) / "docs/cli.md");
  const Finished help = run_program({build_dir() + "/bin/palyra", "--help"});
  ASSERT_EQ(help.exit_code, 0);
  std::istringstream lines(help.out.substr(help.out.find("Subcommands:")));
  std::string line;
  std::getline(lines, line);
  int commands = 0;
  while (std::getline(lines, line) && line.rfind("  ", 0) == 0) {
    const std::string command = line.substr(2, line.find(' ', 2) - 2);
    if (command.empty()) continue;
    EXPECT_THAT(page, testing::ContainsRegex("\\| .*`" + command + "[ `]")) << command;
    ++commands;
  }
  EXPECT_GT(commands, 10) << help.out;
}

}  // namespace
}  // namespace palyra::e2e
