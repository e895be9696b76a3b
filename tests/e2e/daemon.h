// The real daemon as a child process of a test: its own state directory, its own port, real
// signals.
#pragma once

#include "palyra/gateway/v1/admin.grpc.pb.h"
#include "palyra/gateway/v1/approvals.grpc.pb.h"
#include "palyra/gateway/v1/gateway.grpc.pb.h"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

namespace palyra::e2e {

namespace api = palyra::gateway::v1;

// $PALYRA_BUILD_DIR of the test's environment.
std::string build_dir();
std::string source_dir();

// A directory that is removed at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  // Leaves it for a person to look at.
  void keep() { keep_ = true; }
  // Writes a file below it and returns its path.
  std::string write(const std::string& name, const std::string& content) const;

 private:
  std::string path_;
  bool keep_ = false;
};

struct Finished {
  int exit_code = -1;  // 128 + signal if it was killed
  std::string out;
  std::string err;
};

// Runs a program to its end. `obedient`: without root's right to ignore permissions of files.
Finished run_program(const std::vector<std::string>& arguments, const std::string& input = "",
                     const std::vector<std::string>& environment = {}, bool obedient = false);

// What palyra.toml says beyond the default test set: gateway on port 0, journal, embedded, tools.
// @DIR@ in it is the daemon's directory.
struct DaemonOptions {
  std::string gateway;        // lines of [gateway]
  std::string extra;          // whole sections
  std::string embedded = "";  // lines of [plugins.embedded.config]
  std::string model = "embedded/rules";
  std::vector<std::string> plugin_paths;  // besides the build's plugins
  std::vector<std::string> environment;
};

class Daemon {
 public:
  explicit Daemon(DaemonOptions options = {});
  ~Daemon();
  Daemon(const Daemon&) = delete;

  // Starts and waits until it serves (READY=1). False if it ended first: see log().
  bool start();
  // The two halves of start(), for those who kill in between.
  void launch();
  bool await_ready();
  void kill_now();  // SIGKILL, and waits
  int stop();       // SIGTERM, and waits; the exit code
  void freeze();    // SIGSTOP, and waits until no thread of it runs
  void thaw();      // SIGCONT
  // Waits for the end of a daemon that was told to stop or failed.
  int wait();
  pid_t pid() const { return pid_; }
  int exit_code() const { return exit_code_; }  // of the last one that ended
  bool running() const { return pid_ > 0; }

  const std::string& directory() const { return directory_.path(); }
  void keep() { directory_.keep(); }
  std::string state_dir() const { return directory() + "/state"; }
  std::string workspace() const { return directory() + "/workspace"; }
  std::string config_path() const { return directory() + "/palyra.toml"; }
  std::string config() const;
  void write_config(const std::string& toml) const;
  // Replaces `from`, which must be there, for the next start.
  void edit_config(const std::string& from, const std::string& to) const;
  std::string log() const;
  std::string endpoint() const;  // host:port
  std::string token() const;

  std::unique_ptr<api::GatewayService::Stub> gateway() const;
  std::unique_ptr<api::ApprovalsService::Stub> approvals() const;
  std::unique_ptr<api::AdminService::Stub> admin() const;
  std::shared_ptr<grpc::Channel> channel() const;
  // Adds the owner's token and a deadline of a minute.
  void authenticate(grpc::ClientContext& context) const;
  // Runs the real `palyra` against this daemon.
  Finished cli(const std::vector<std::string>& arguments, const std::string& input = "") const;

 private:
  std::string plugin_path_toml() const;
  void close_pipes();

  TempDir directory_;
  DaemonOptions options_;
  pid_t pid_ = -1;
  int notify_ = -1;  // READY=1 arrives here
  int alive_ = -1;   // ends when the child does
  int exit_code_ = -1;
  mutable std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace palyra::e2e
