#include "tests/e2e/daemon.h"

#include "tests/sanitizer_report.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace palyra::e2e {

namespace {

std::string required(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr)
    throw std::runtime_error(std::string(name) + " is not set; run this by ctest");
  return value;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

int exit_code_of(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// What execve wants, made before the fork.
class Program {
 public:
  Program(const std::vector<std::string>& arguments, const std::vector<std::string>& environment)
      : arguments_(arguments) {
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string_view name = name_of(*entry);
      const bool replaced =
          std::any_of(environment.begin(), environment.end(),
                      [name](const std::string& set) { return name_of(set) == name; });
      if (!replaced) environment_.emplace_back(*entry);
    }
    environment_.insert(environment_.end(), environment.begin(), environment.end());
    for (std::string& argument : arguments_) argv_.push_back(argument.data());
    for (std::string& assignment : environment_) envp_.push_back(assignment.data());
    argv_.push_back(nullptr);
    envp_.push_back(nullptr);
  }
  Program(const Program&) = delete;

  // In the child: replaces the process.
  [[noreturn]] void become() const {
    execve(argv_[0], argv_.data(), envp_.data());
    _exit(127);
  }

 private:
  static std::string_view name_of(std::string_view assignment) {
    return assignment.substr(0, assignment.find('='));
  }
  std::vector<std::string> arguments_;
  std::vector<std::string> environment_;
  std::vector<char*> argv_;
  std::vector<char*> envp_;
};

}  // namespace

std::string build_dir() { return required("PALYRA_BUILD_DIR"); }
std::string source_dir() { return required("PALYRA_SOURCE_DIR"); }

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "palyra-e2e-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  path_ = pattern;
}

TempDir::~TempDir() {
  if (keep_) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::write(const std::string& name, const std::string& content) const {
  const std::string path = path_ + "/" + name;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

Finished run_program(const std::vector<std::string>& arguments, const std::string& input,
                     const std::vector<std::string>& environment, bool obedient) {
  int in[2];
  int out[2];
  int err[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
    throw std::runtime_error("pipe failed");
  }
  const Program program(arguments, environment);
  const pid_t child = fork();
  if (child == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    if (obedient) prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0);
    if (obedient) prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH, 0, 0, 0);
    program.become();
  }
  close(in[0]);
  close(out[1]);
  close(err[1]);
  signal(SIGPIPE, SIG_IGN);
  std::thread writer([&] {
    for (size_t sent = 0; sent < input.size();) {
      const ssize_t size = write(in[1], input.data() + sent, input.size() - sent);
      if (size <= 0) break;
      sent += static_cast<size_t>(size);
    }
    close(in[1]);
  });
  Finished result;
  pollfd pipes[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
  std::string* texts[2] = {&result.out, &result.err};
  int open_pipes = 2;
  while (open_pipes > 0 && poll(pipes, 2, -1) > 0) {
    for (int i = 0; i < 2; ++i) {
      if (pipes[i].fd < 0 || pipes[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t size = read(pipes[i].fd, buffer, sizeof buffer);
      if (size > 0) {
        texts[i]->append(buffer, static_cast<size_t>(size));
      } else {
        close(pipes[i].fd);
        pipes[i].fd = -1;
        --open_pipes;
      }
    }
  }
  writer.join();
  int status = 0;
  waitpid(child, &status, 0);
  result.exit_code = exit_code_of(status);
  return result;
}

Daemon::Daemon(DaemonOptions options) : options_(std::move(options)) {
  std::filesystem::create_directories(workspace());
  std::ostringstream toml;
  toml << "[daemon]\n"
       << "state_dir = \"" << state_dir() << "\"\n"
       << "plugin_path = [" << plugin_path_toml() << "]\n\n"
       << "[plugins.gateway]\nuse = \"dev.palyra.gateway\"\n"
       << "[plugins.journal]\nuse = \"dev.palyra.journal\"\n"
       << "[plugins.embedded]\nuse = \"dev.palyra.embedded\"\n"
       << "[plugins.embedded.config]\n"
       << options_.embedded << "\n"
       << "[plugins.tools]\nuse = \"dev.palyra.tools\"\n\n"
       << "[gateway]\ngrpc_listen = \"127.0.0.1:0\"\nmodel = \"" << options_.model << "\"\n"
       << options_.gateway << "\n"
       << "[gateway.agents.main]\nworkspace = [\"" << workspace() << "\"]\n\n"
       << options_.extra << "\n";
  std::string text = toml.str();
  const std::string_view mark = "@DIR@";
  for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
    text.replace(at, mark.size(), directory());
  }
  directory_.write("palyra.toml", text);
}

Daemon::~Daemon() {
  kill_now();
  close_pipes();
  testing::refuse_sanitizer_report(log());
}

std::string Daemon::plugin_path_toml() const {
  std::string list = "\"" + build_dir() + "/lib/palyra/plugins\"";
  for (const std::string& path : options_.plugin_paths) list += ", \"" + path + "\"";
  return list;
}

bool Daemon::start() {
  launch();
  return await_ready();
}

void Daemon::launch() {
  channel_.reset();
  close_pipes();
  notify_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = directory() + "/notify";
  unlink(path.c_str());
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (bind(notify_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("cannot bind " + path);
  }
  // The child's end of this pipe closes when it dies, whatever the way.
  int alive[2];
  if (pipe2(alive, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
  alive_ = alive[0];
  // All that allocates is done before: another thread may hold the allocator's lock at the fork.
  const std::string log_path = directory() + "/daemon.log";
  auto environment = options_.environment;
  environment.push_back("NOTIFY_SOCKET=" + path);
  const std::vector<std::string> command = {build_dir() + "/bin/palyrad", "--config",
                                            config_path()};
  const Program program(command, environment);
  pid_ = fork();
  if (pid_ == 0) {
    const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, 1);
    dup2(log, 2);
    fcntl(alive[1], F_SETFD, 0);
    program.become();
  }
  close(alive[1]);
}

bool Daemon::await_ready() {
  bool ready = false;
  pollfd events[2] = {{notify_, POLLIN, 0}, {alive_, POLLIN, 0}};
  while (!ready && poll(events, 2, -1) > 0) {
    if (events[0].revents != 0) {
      char message[256];
      const ssize_t size = recv(notify_, message, sizeof message, 0);
      if (size > 0 && std::string_view(message, static_cast<size_t>(size)).find("READY=1") !=
                          std::string_view::npos) {
        ready = true;
      }
    } else if (events[1].revents != 0) {
      break;
    }
  }
  if (!ready) wait();
  return ready;
}

void Daemon::close_pipes() {
  for (int* fd : {&notify_, &alive_}) {
    if (*fd >= 0) close(std::exchange(*fd, -1));
  }
}

void Daemon::kill_now() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  wait();
}

int Daemon::stop() {
  if (pid_ <= 0) return -1;
  ::kill(pid_, SIGTERM);
  return wait();
}

void Daemon::freeze() {
  ::kill(pid_, SIGSTOP);
  int status = 0;
  waitpid(pid_, &status, WUNTRACED);
}

void Daemon::thaw() { ::kill(pid_, SIGCONT); }

int Daemon::wait() {
  if (pid_ <= 0) return -1;
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  exit_code_ = exit_code_of(status);
  return exit_code_;
}

std::string Daemon::config() const { return read_file(config_path()); }

void Daemon::write_config(const std::string& toml) const { directory_.write("palyra.toml", toml); }

void Daemon::edit_config(const std::string& from, const std::string& to) const {
  std::string toml = config();
  const size_t at = toml.find(from);
  if (at == std::string::npos) throw std::runtime_error("not in palyra.toml: " + from);
  write_config(toml.replace(at, from.size(), to));
}

std::string Daemon::log() const { return read_file(directory() + "/daemon.log"); }

std::string Daemon::endpoint() const {
  std::string text = read_file(state_dir() + "/gateway/endpoint");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string Daemon::token() const {
  std::string text = read_file(state_dir() + "/gateway/owner.token");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::shared_ptr<grpc::Channel> Daemon::channel() const {
  if (!channel_) {
    grpc::ChannelArguments arguments;
    // Each daemon of a test process gets a connection of its own.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel_ = grpc::CreateCustomChannel(endpoint(), grpc::InsecureChannelCredentials(), arguments);
  }
  return channel_;
}

std::unique_ptr<api::GatewayService::Stub> Daemon::gateway() const {
  return api::GatewayService::NewStub(channel());
}
std::unique_ptr<api::ApprovalsService::Stub> Daemon::approvals() const {
  return api::ApprovalsService::NewStub(channel());
}
std::unique_ptr<api::AdminService::Stub> Daemon::admin() const {
  return api::AdminService::NewStub(channel());
}

void Daemon::authenticate(grpc::ClientContext& context) const {
  context.AddMetadata("authorization", "Bearer " + token());
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
}

Finished Daemon::cli(const std::vector<std::string>& arguments, const std::string& input) const {
  std::vector<std::string> all = {build_dir() + "/bin/palyra", "--config", config_path()};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_program(all, input, {"NO_COLOR=1"});
}

}  // namespace palyra::e2e
