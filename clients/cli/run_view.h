// One RunStream as a person or a script follows it: text as it comes, tools, approvals, a usage
// line.
#pragma once

#include "clients/cli/connection.h"

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace palyra::cli {

enum class ApproveMode {
  kAsk,   // ask at the terminal; without one the run stays WAITING
  kDeny,  // every request is denied: by the daemon if this client starts the run
  kAll,   // every request of this run is allowed, once each
};

// The value of --approve: ask, deny, all.
ApproveMode approve_mode(const std::string& word);

class RunView {
 public:
  RunView(Connection& connection, ApproveMode approve);
  ~RunView();

  // Opens the stream with its first message and follows it to the end. The exit code.
  int follow(const api::RunStreamRequest& first);

  // Before follow(): lines that are typed meanwhile go to `on_line`, in another thread, together
  // with the session. Needs a terminal; without one nothing happens.
  using OnLine = std::function<void(const std::string& session_id, const std::string& line)>;
  void listen(OnLine on_line);
  // Nobody types any more.
  bool input_ended() const { return input_ended_; }

  const std::string& session_id() const { return session_id_; }
  const std::string& run_id() const { return run_id_; }

 private:
  using Stream = grpc::ClientReaderWriter<api::RunStreamRequest, api::RunStreamEvent>;

  void show(const api::RunStreamEvent& event);
  void show_text(const api::TextDelta& delta);
  void show_status(const api::RunStatus& status);
  void approve(const tape::v1::ApprovalRequested& request);
  bool is_pending(const std::string& approval_id);
  // False if the question was taken back: the run is being cancelled.
  bool ask(const tape::v1::ApprovalRequested& request, api::ApprovalDecision* decision);
  void send(const api::RunStreamRequest& request);
  void end_line();
  int finish(const grpc::Status& status);
  void print_summary(int code);

  Connection& connection_;
  const Output output_;
  const ApproveMode approve_;
  const bool can_ask_;

  std::mutex write_mutex_;  // one write at a time: this thread's, or Ctrl-C's
  int interrupted_ = -1;    // an eventfd, readable after the first Ctrl-C
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<class CtrlC> ctrl_c_;  // cancels the run, then leaves
  std::unique_ptr<class Progress> progress_;
  OnLine on_line_;
  std::unique_ptr<class Typing> typing_;  // once the session is known
  bool input_ended_ = false;

  std::string session_id_;
  std::string run_id_;
  api::RunStatus status_;
  std::vector<tape::v1::ApprovalRequested> pending_;
  int tool_calls_ = 0;
  bool left_waiting_ = false;
  bool line_open_ = false;
};

}  // namespace palyra::cli
