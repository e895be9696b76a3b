// SPDX-License-Identifier: Apache-2.0
// palyrad as a child process, for tests: a directory of its own, its configuration, what it
// printed.
#pragma once

#include "tests/sanitizer_report.h"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <poll.h>
#include <signal.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace palyra::host::testing {

class DaemonProcess {
 public:
  explicit DaemonProcess(const std::string& config) {
    std::string name = (std::filesystem::temp_directory_path() / "palyrad-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    std::ofstream(config_file()) << config;
  }
  ~DaemonProcess() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      wait();
    }
    if (output_ >= 0) ::close(output_);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
    palyra::testing::refuse_sanitizer_report(text_);
  }
  DaemonProcess(const DaemonProcess&) = delete;

  std::filesystem::path config_file() const { return directory_ / "palyra.toml"; }
  std::filesystem::path state_dir() const { return directory_ / "state"; }
  pid_t pid() const { return pid_; }
  const std::string& output() const { return text_; }

  void start(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {std::getenv("PALYRAD"), "--config", config_file()});
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], 1);
      ::dup2(ends[1], 2);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    if (output_ >= 0) ::close(output_);
    output_ = ends[0];
  }

  // Reads its output until `line` appears in it; false if it ended (or a minute passed) before.
  bool read_until(const std::string& line) {
    while (text_.find(line) == std::string::npos) {
      pollfd wanted = {output_, POLLIN, 0};
      if (::poll(&wanted, 1, 60'000) <= 0) return false;
      char buffer[4096];
      const ssize_t count = ::read(output_, buffer, sizeof(buffer));
      if (count <= 0) return false;
      text_.append(buffer, static_cast<size_t>(count));
    }
    return true;
  }
  bool has(const std::string& line) const { return text_.find(line) != std::string::npos; }
  // Where `line` stands in the output; for comparing orders.
  size_t at(const std::string& line) const { return text_.find(line); }

  // Reads the rest of its output and gives its exit code, or minus the signal that ended it.
  int wait() {
    read_until("\x01 never printed");
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  int run(std::vector<std::string> arguments = {}) {
    start(std::move(arguments));
    return wait();
  }
  int terminate() {
    ::kill(pid_, SIGTERM);
    return wait();
  }

 private:
  std::filesystem::path directory_;
  pid_t pid_ = -1;
  int output_ = -1;
  std::string text_;
};

// [daemon] with a state directory beside the file, the plugins of `directory` of the build tree's
// tests, and a hub.
inline std::string base_config(const std::string& directories = "\"host-plugins\"",
                               const std::string& daemon = "") {
  const std::string tests = std::string(std::getenv("PALYRA_BUILD_DIR")) + "/tests/";
  std::string paths = directories;
  for (size_t at = paths.find('"'); at != std::string::npos;) {
    paths.insert(at + 1, tests);
    at = paths.find('"', paths.find('"', at + 1) + 1);
  }
  return "[daemon]\nstate_dir = \"state\"\nplugin_path = [" + paths + "]\n" + daemon +
         "\n[plugins.hub]\nuse = \"dev.palyra.test.hub\"\n";
}

}  // namespace palyra::host::testing
