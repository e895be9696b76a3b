#include "tests/providers/mock_llm_server.h"

#include <arpa/inet.h>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <signal.h>
#include <sstream>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace palyra::openai {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string content(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Runs a program to its end, its output in `log`; its exit code, or -1.
int run(const std::vector<std::string>& words, const std::string& log) {
  const pid_t child = fork();
  if (child == 0) {
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(out, 1);
    dup2(out, 2);
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// A port that was free a moment ago: mock-llm does not say which one it got.
int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

}  // namespace

MockLlmServer::MockLlmServer(const std::string& config) {
  const std::string directory = environment("PALYRA_MOCK_LLM_DIR");
  if (directory.empty()) {
    problem_ = "PALYRA_MOCK_LLM_DIR is not set: run this test through ctest";
    return;
  }
  if (install(directory)) launch(directory, config);
}

bool MockLlmServer::install(const std::string& directory) {
  const fs::path source = fs::path(environment("PALYRA_SOURCE_DIR")) / "tests/providers";
  fs::create_directories(directory);
  // Two tests at once install one after the other.
  const int lock = open((directory + "/.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  flock(lock, LOCK_EX);
  const std::string pinned = content(source / "package-lock.json");
  bool ok = content(fs::path(directory) / ".installed") == pinned;
  if (!ok) {
    for (const char* name : {"package.json", "package-lock.json"}) {
      fs::copy_file(source / name, fs::path(directory) / name,
                    fs::copy_options::overwrite_existing);
    }
    const std::string log = directory + "/install.log";
    const int code = run(
        {"npm", "ci", "--prefix", directory, "--no-audit", "--no-fund", "--ignore-scripts"}, log);
    ok = code == 0;
    if (ok) std::ofstream(directory + "/.installed") << pinned;
    if (code == 127) {
      problem_ = "npm is missing: install Node.js 20 or newer with npm (Debian: nodejs npm)";
    } else if (!ok) {
      problem_ = "npm ci in " + directory + " failed: " + content(log);
    }
  }
  close(lock);
  return ok;
}

bool MockLlmServer::launch(const std::string& directory, const std::string& config) {
  const std::string file = directory + "/config." + std::to_string(getpid()) + ".yaml";
  std::ofstream(file) << config;
  port_ = free_port();
  int output[2];
  if (pipe2(output, O_CLOEXEC) != 0) {
    problem_ = "no pipe";
    return false;
  }
  const std::string script = directory + "/node_modules/@dwmkerr/mock-llm/dist/main.js";
  pid_ = fork();
  if (pid_ == 0) {
    setenv("HOST", "127.0.0.1", 1);
    setenv("PORT", std::to_string(port_).c_str(), 1);
    dup2(output[1], 1);
    dup2(output[1], 2);
    execlp("node", "node", script.c_str(), "--config", file.c_str(), nullptr);
    _exit(127);
  }
  close(output[1]);
  // It says when it is ready.
  std::string said;
  char chunk[4096];
  while (said.find("server running on") == std::string::npos) {
    const ssize_t got = read(output[0], chunk, sizeof(chunk));
    if (got <= 0) {
      problem_ = "mock-llm did not start: " + said;
      close(output[0]);
      return false;
    }
    said.append(chunk, static_cast<size_t>(got));
  }
  // The rest of what it says is small; the pipe stays open so that it can say it.
  fcntl(output[0], F_SETPIPE_SZ, 1 << 20);
  return true;
}

MockLlmServer::~MockLlmServer() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

}  // namespace palyra::openai
