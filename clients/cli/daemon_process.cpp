#include "clients/cli/daemon_process.h"

#include "clients/cli/connection.h"
#include "clients/cli/terminal.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace palyra::cli {

namespace fs = std::filesystem;

namespace {

constexpr int kReadySeconds = 60;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// Milliseconds until a deadline, never negative.
int remaining_ms(std::chrono::steady_clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

std::string last_lines(const std::string& path, int count) {
  std::ifstream file(path);
  std::deque<std::string> lines;
  std::string line;
  while (std::getline(file, line)) {
    lines.push_back(line);
    if (static_cast<int>(lines.size()) > count) lines.pop_front();
  }
  std::string text;
  for (const std::string& kept : lines) text += kept + "\n";
  return text;
}

// The outcome of start and stop; pid 0 = none runs now.
void say(const GlobalOptions& options, const std::string& sentence, pid_t pid) {
  Progress::make_room();
  if (options.output == Output::kText) {
    std::printf("%s\n", sentence.c_str());
  } else {
    std::printf("{\"running\": %s, \"pid\": %d}\n", pid != 0 ? "true" : "false",
                static_cast<int>(pid));
  }
}

// What the daemon said until it was ready, or why it is not.
enum class Start { kReady, kDied, kTimeout };

// `status`: what it says of itself once it is ready, if anything.
Start wait_until_ready(int notify, int process, std::string& status) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kReadySeconds);
  Progress progress("starting the daemon");
  while (true) {
    pollfd events[2] = {{notify, POLLIN, 0}, {process, POLLIN, 0}};
    const int ready = poll(events, 2, remaining_ms(deadline));
    if (ready == 0) return Start::kTimeout;
    if (events[0].revents != 0) {
      char message[512];
      const ssize_t size = recv(notify, message, sizeof message, 0);
      const std::string_view said(message, size > 0 ? static_cast<size_t>(size) : 0);
      if (said.find("READY=1") != std::string_view::npos) {
        constexpr std::string_view kStatus = "\nSTATUS=";
        const size_t at = said.find(kStatus);
        if (at != std::string_view::npos) status = said.substr(at + kStatus.size());
        return Start::kReady;
      }
    } else if (events[1].revents != 0) {
      return Start::kDied;
    }
  }
}

}  // namespace

pid_t running_daemon(const std::string& state_dir) {
  const Descriptor file(open(pid_file(state_dir).c_str(), O_RDONLY | O_CLOEXEC));
  char text[32] = {};
  if (file.get() < 0 || read(file.get(), text, sizeof text - 1) <= 0) return 0;
  const pid_t pid = static_cast<pid_t>(std::strtol(text, nullptr, 10));
  if (pid <= 0 || (kill(pid, 0) != 0 && errno != EPERM)) return 0;
  // The daemon holds this lock as long as it lives.
  if (flock(file.get(), LOCK_SH | LOCK_NB) == 0) return 0;
  return pid;
}

bool make_private_directory(const std::string& path) {
  std::error_code problem;
  const fs::path parent = fs::path(path).parent_path();
  if (!parent.empty()) fs::create_directories(parent, problem);
  if (problem) {
    errno = problem.value();
    return false;
  }
  return mkdir(path.c_str(), 0700) == 0 || errno == EEXIST;
}

std::string daemon_program() {
  std::error_code ignored;
  const fs::path beside = fs::read_symlink("/proc/self/exe", ignored).parent_path() / "palyrad";
  return fs::exists(beside, ignored) ? beside.string() : "palyrad";
}

int start_daemon(const GlobalOptions& options) {
  const std::string state_dir = find_state_dir(options);
  const std::string config = find_config(options);
  if (config.empty()) {
    return complain("no palyra.toml found; make one with: palyra setup", kExitConfig);
  }
  if (const std::string problem = config_problem(options); !problem.empty()) {
    return complain(problem, kExitConfig);
  }
  GlobalOptions without = options;
  without.state_dir.clear();
  if (find_state_dir(without) != state_dir) {
    return complain("the daemon takes its state directory from " + config +
                        "; set daemon.state_dir = " + toml_quoted(state_dir) + " there",
                    kExitUsage);
  }
  if (const pid_t pid = running_daemon(state_dir); pid != 0) {
    say(options, "The daemon runs already (pid " + std::to_string(pid) + ").", pid);
    return kExitOk;
  }
  if (!make_private_directory(state_dir)) {
    return complain("cannot create " + state_dir + ": " + std::strerror(errno) +
                        "; set daemon.state_dir in " + config + " to a directory of yours",
                    kExitCannotCreate);
  }
  const std::string log_path = collected_log(state_dir);
  const Descriptor log(open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (log.get() < 0) {
    return complain("cannot write " + log_path + ": " + std::strerror(errno) +
                        "; set daemon.state_dir in " + config + " to a directory of yours",
                    kExitCannotCreate);
  }
  // sd_notify(3)'s protocol tells us when it serves. An abstract name needs no cleaning up.
  const Descriptor notify(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "palyra-start-" + std::to_string(getpid());
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(notify.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) {
    return complain(std::string("cannot wait for the daemon: ") + std::strerror(errno),
                    kExitInternal);
  }
  const std::string program = daemon_program();
  const pid_t child = fork();
  if (child == 0) {
    setsid();
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(log.get(), 1);
    dup2(log.get(), 2);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
    execlp(program.c_str(), program.c_str(), "--config", config.c_str(), nullptr);
    _exit(127);
  }
  const Descriptor process(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  std::string said;
  switch (wait_until_ready(notify.get(), process.get(), said)) {
    case Start::kReady:
      say(options,
          "The daemon serves (pid " + std::to_string(child) + ", log " + find_log(options) + ").",
          child);
      if (!said.empty()) {
        std::fprintf(stderr, "palyra: not everything runs (%s); see: palyra plugins list\n",
                     one_line(said).c_str());
      }
      return kExitOk;
    case Start::kTimeout:
      return complain("the daemon (pid " + std::to_string(child) + ") is not ready after " +
                          std::to_string(kReadySeconds) + " s; see: palyra daemon logs",
                      kExitUnavailable);
    case Start::kDied:
      break;
  }
  int status = 0;
  waitpid(child, &status, 0);
  Progress::make_room();
  std::fputs(printable(last_lines(log_path, 15)).c_str(), stderr);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : kExitUnavailable;
  return complain(
      code == 127
          ? "cannot run " + program + "; is palyrad installed?"
          : "the daemon did not start; its last lines are above, all of them in " + log_path,
      code == 0 ? kExitUnavailable : code);
}

int stop_daemon(const GlobalOptions& options, int seconds) {
  const pid_t pid = running_daemon(find_state_dir(options));
  if (pid == 0) {
    say(options, "No daemon runs.", 0);
    return kExitOk;
  }
  const Descriptor process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (process.get() < 0 || kill(pid, SIGTERM) != 0) {
    if (errno == ESRCH) {
      say(options, "Stopped.", 0);
      return kExitOk;
    }
    return complain("cannot stop pid " + std::to_string(pid) + ": " + std::strerror(errno),
                    kExitNoPermission);
  }
  Progress progress("waiting for what is in flight");
  pollfd ended = {process.get(), POLLIN, 0};
  if (poll(&ended, 1, seconds * 1000) == 0) {
    return complain("the daemon still drains after " + std::to_string(seconds) +
                        " s; wait, or stop it at once with: kill " + std::to_string(pid),
                    kExitWaiting);
  }
  say(options, "Stopped.", 0);
  return kExitOk;
}

int print_logs(const GlobalOptions& options, int lines, bool follow) {
  const std::string path = find_log(options);
  std::ifstream file(path);
  if (!file) {
    return complain("no log at " + path + "; a daemon under systemd logs to: journalctl -u palyrad",
                    kExitNotFound);
  }
  const Descriptor watch(follow ? inotify_init1(IN_CLOEXEC) : -1);
  if (follow && inotify_add_watch(watch.get(), path.c_str(), IN_MODIFY) < 0) {
    return complain("cannot follow " + path + ": " + std::strerror(errno), kExitInternal);
  }
  std::deque<std::string> last;
  std::string line;
  std::string begun;  // the start of a line that is still being written
  const auto take = [&] {
    if (!file.eof()) return true;
    begun += line;
    return false;
  };
  while (std::getline(file, line) && take()) {
    last.push_back(line);
    if (static_cast<int>(last.size()) > lines) last.pop_front();
  }
  for (const std::string& kept : last) std::printf("%s\n", printable(kept).c_str());
  while (follow) {
    file.clear();
    while (std::getline(file, line) && take()) {
      std::printf("%s\n", printable(begun + line).c_str());
      begun.clear();
    }
    std::fflush(stdout);
    char events[4096];
    if (read(watch.get(), events, sizeof events) <= 0) break;
  }
  if (!begun.empty()) std::printf("%s\n", printable(begun).c_str());
  return kExitOk;
}

}  // namespace palyra::cli
