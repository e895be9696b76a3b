#include "clients/cli/run_view.h"

#include "clients/cli/ctrl_c.h"
#include "clients/cli/line_reader.h"
#include "clients/cli/terminal.h"
#include "clients/cli/typing.h"
#include "clients/cli/words.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <sys/eventfd.h>
#include <unistd.h>

namespace palyra::cli {

namespace {

constexpr size_t kShownArguments = 200;
constexpr size_t kShownResult = 400;

const char* state_word(api::RunState state) {
  switch (state) {
    case api::RUN_STATE_QUEUED:
      return "queued";
    case api::RUN_STATE_RUNNING:
      return "running";
    case api::RUN_STATE_WAITING:
      return "waiting";
    case api::RUN_STATE_COMPLETED:
      return "completed";
    case api::RUN_STATE_CANCELLED:
      return "cancelled";
    case api::RUN_STATE_FAILED:
      return "failed";
    default:
      return "unknown";
  }
}

bool terminal_state(api::RunState state) {
  return state == api::RUN_STATE_COMPLETED || state == api::RUN_STATE_CANCELLED ||
         state == api::RUN_STATE_FAILED;
}

}  // namespace

ApproveMode approve_mode(const std::string& word) {
  if (word == "all") return ApproveMode::kAll;
  return word == "deny" ? ApproveMode::kDeny : ApproveMode::kAsk;
}

RunView::RunView(Connection& connection, ApproveMode approve)
    : connection_(connection),
      output_(connection.options().output),
      approve_(approve),
      can_ask_(approve == ApproveMode::kAsk && is_terminal(0) && is_terminal(2) &&
               output_ == Output::kText) {}

RunView::~RunView() = default;

int RunView::follow(const api::RunStreamRequest& first) {
  context_ = connection_.context(0);
  stream_ = connection_.gateway().RunStream(context_.get());
  status_.Clear();
  pending_.clear();
  left_waiting_ = false;
  interrupted_ = eventfd(0, EFD_CLOEXEC);
  progress_ = std::make_unique<Progress>("waiting for the model");
  send(first);
  ctrl_c_ = std::make_unique<CtrlC>([this] {
    api::RunStreamRequest cancel;
    cancel.mutable_cancel()->set_reason("Ctrl-C");
    send(cancel);
    progress_->describe("cancelling; Ctrl-C again to leave");
    eventfd_write(interrupted_, 1);
  });
  api::RunStreamEvent event;
  while (!left_waiting_ && stream_->Read(&event)) show(event);
  if (left_waiting_) context_->TryCancel();
  while (stream_->Read(&event)) {
  }
  if (typing_) input_ended_ = typing_->ended();
  typing_.reset();
  ctrl_c_.reset();
  grpc::Status status = stream_->Finish();
  progress_.reset();
  close(interrupted_);
  if (left_waiting_) status = grpc::Status::OK;
  return finish(status);
}

void RunView::send(const api::RunStreamRequest& request) {
  std::lock_guard lock(write_mutex_);
  // A stream that has ended says so by Read.
  (void)stream_->Write(request);
}

void RunView::listen(OnLine on_line) {
  if (is_terminal(0) && is_terminal(1) && output_ == Output::kText) on_line_ = std::move(on_line);
}

void RunView::show(const api::RunStreamEvent& event) {
  if (!event.run_id().empty()) run_id_ = event.run_id();
  if (!event.session_id().empty()) session_id_ = event.session_id();
  if (on_line_ && !typing_ && !session_id_.empty()) {
    typing_ = std::make_unique<Typing>([on_line = on_line_, session = session_id_](
                                           const std::string& line) { on_line(session, line); });
  }
  if (output_ == Output::kNdjson) std::printf("%s\n", to_json(event, false).c_str());
  if (output_ != Output::kText) {
    if (event.has_status()) show_status(event.status());
    if (event.has_tool_result()) ++tool_calls_;
    if (event.has_approval_request()) approve(event.approval_request());
    if (output_ == Output::kNdjson) std::fflush(stdout);
    return;
  }
  switch (event.event_case()) {
    case api::RunStreamEvent::kModelDelta:
      show_text(event.model_delta());
      break;
    case api::RunStreamEvent::kTurnRestarted:
      end_line();
      std::fprintf(
          stderr, "%s\n",
          styled(Style::kYellow, "(the turn starts again; what was shown is void)", 2).c_str());
      break;
    case api::RunStreamEvent::kToolProposal: {
      progress_->describe("running " + event.tool_proposal().call().name());
      // Also with --quiet: what comes is another answer.
      end_line();
      if (connection_.options().quiet) break;
      const auto& call = event.tool_proposal().call();
      std::fprintf(stderr, "%s %s\n",
                   styled(Style::kCyan, "tool " + one_line(call.name()), 2).c_str(),
                   shortened(call.arguments_json(), kShownArguments).c_str());
      break;
    }
    case api::RunStreamEvent::kToolProgress:
      progress_->describe(shortened(event.tool_progress().text(), 60));
      break;
    case api::RunStreamEvent::kToolResult: {
      ++tool_calls_;
      progress_->describe("waiting for the model");
      if (connection_.options().quiet) break;
      const auto& result = event.tool_result();
      const bool bad = result.is_error() || result.has_failure() || result.outcome_unknown();
      std::fprintf(
          stderr, "  %s %s\n",
          bad ? styled(Style::kRed, "failed:", 2).c_str() : styled(Style::kDim, "->", 2).c_str(),
          shortened(result.content(), kShownResult).c_str());
      break;
    }
    case api::RunStreamEvent::kInputAdded: {
      end_line();
      if (connection_.options().quiet) break;
      const auto& added = event.input_added();
      std::fprintf(stderr, "%s %s\n",
                   styled(Style::kCyan, "message (" + queue_word(added.mode()) + ")", 2).c_str(),
                   shortened(added.text(), kShownArguments).c_str());
      break;
    }
    case api::RunStreamEvent::kApprovalRequest:
      approve(event.approval_request());
      break;
    case api::RunStreamEvent::kStatus:
      show_status(event.status());
      break;
    case api::RunStreamEvent::kError:
      end_line();
      complain(event.error().message(), 0);
      break;
    default:
      break;
  }
}

void RunView::show_text(const api::TextDelta& delta) {
  progress_->alive();
  const std::string text = printable(delta.text());
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  if (!text.empty()) line_open_ = text.back() != '\n';
}

void RunView::end_line() {
  progress_->alive();
  if (line_open_) std::printf("\n");
  std::fflush(stdout);
  line_open_ = false;
}

void RunView::show_status(const api::RunStatus& status) {
  status_ = status;
  if (status.state() == api::RUN_STATE_WAITING &&
      status.wait_reason() == api::WAIT_REASON_APPROVAL && approve_ == ApproveMode::kAsk &&
      !can_ask_) {
    left_waiting_ = true;
  }
}

// The tape of a run that is attached to also shows what was decided long ago.
bool RunView::is_pending(const std::string& approval_id) {
  api::ListApprovalsRequest request;
  request.set_page_size(500);
  api::ListApprovalsResponse response;
  do {
    auto context = connection_.context();
    const auto status = connection_.approvals().ListApprovals(context.get(), request, &response);
    if (!status.ok()) return true;
    for (const auto& approval : response.approvals()) {
      if (approval.request().approval_id() == approval_id) return true;
    }
    request.set_page_token(response.next_page_token());
  } while (!response.next_page_token().empty());
  return false;
}

void RunView::approve(const tape::v1::ApprovalRequested& request) {
  if (!is_pending(request.approval_id())) return;
  if (approve_ == ApproveMode::kAsk && !can_ask_) {
    pending_.push_back(request);
    return;
  }
  api::RunStreamRequest answer;
  auto* decision = answer.mutable_approval();
  decision->set_approval_id(request.approval_id());
  decision->set_verdict(approve_ == ApproveMode::kDeny ? tape::v1::APPROVAL_VERDICT_DENY
                                                       : tape::v1::APPROVAL_VERDICT_ALLOW);
  decision->set_scope(tape::v1::APPROVAL_SCOPE_ONCE);
  if (!can_ask_ || ask(request, decision)) send(answer);
}

bool RunView::ask(const tape::v1::ApprovalRequested& request, api::ApprovalDecision* decision) {
  end_line();
  // In one line each, so that nothing in them can pass for this question or its answers.
  std::fprintf(stderr, "%s %s\n  %s\n  %s\n", styled(Style::kYellow, "approve", 2).c_str(),
               one_line(request.tool()).c_str(), one_line(request.arguments_json()).c_str(),
               styled(Style::kDim, one_line(request.explanation()), 2).c_str());
  while (true) {
    if (typing_) typing_->expect_answer();
    std::fprintf(stderr, "  [o]nce, for the [s]ession, or [d]eny? ");
    std::string line;
    const auto got = typing_ ? typing_->answer(&line, interrupted_)
                             : LineReader::standard_input().read(&line, interrupted_);
    switch (got) {
      case LineReader::Result::kStopped:
        std::fprintf(stderr, "\n");
        return false;
      case LineReader::Result::kEnd:
        std::fprintf(stderr, "denied: nobody answers\n");
        line = "d";
        break;
      case LineReader::Result::kLine:
        break;
    }
    if (line == "o" || line == "once") return true;
    if (line == "s" || line == "session") {
      decision->set_scope(tape::v1::APPROVAL_SCOPE_SESSION);
      return true;
    }
    if (line == "d" || line == "deny") {
      decision->set_verdict(tape::v1::APPROVAL_VERDICT_DENY);
      return true;
    }
  }
}

int RunView::finish(const grpc::Status& status) {
  int code = kExitOk;
  if (!status.ok()) {
    code = connection_.explain(status);
  } else if (left_waiting_) {
    code = kExitWaiting;
  } else if (status_.state() != api::RUN_STATE_COMPLETED) {
    code = kExitRunFailed;
  }
  print_summary(code);
  return code;
}

void RunView::print_summary(int code) {
  if (output_ == Output::kJson) {
    nlohmann::ordered_json summary;
    summary["run_id"] = run_id_;
    summary["session_id"] = session_id_;
    summary["state"] = state_word(status_.state());
    summary["text"] = status_.text();
    summary["tool_calls"] = tool_calls_;
    summary["usage"] = {{"input_tokens", status_.usage().input_tokens()},
                        {"output_tokens", status_.usage().output_tokens()}};
    if (status_.has_failure()) summary["failure"] = status_.failure().message();
    for (const auto& request : pending_) {
      summary["approvals"].push_back({{"approval_id", request.approval_id()},
                                      {"tool", request.tool()},
                                      {"arguments", request.arguments_json()}});
    }
    summary["exit_code"] = code;
    std::printf("%s\n",
                terminal_json(summary.dump(2, ' ', false, nlohmann::json::error_handler_t::replace))
                    .c_str());
    return;
  }
  if (output_ != Output::kText) return;
  if (line_open_) std::printf("\n");
  line_open_ = false;
  std::fflush(stdout);
  if (left_waiting_) {
    for (const auto& request : pending_) {
      std::fprintf(
          stderr,
          "The run waits for an approval of %s. Decide with:\n  palyra approvals allow %s\n"
          "  palyra approvals deny %s\nand follow it with:\n  palyra runs attach %s\n",
          one_line(request.tool()).c_str(), request.approval_id().c_str(),
          request.approval_id().c_str(), run_id_.c_str());
    }
    return;
  }
  if (status_.has_failure()) complain(status_.failure().message(), code);
  if (status_.state() == api::RUN_STATE_CANCELLED) std::fprintf(stderr, "Cancelled.\n");
  if (connection_.options().quiet || !terminal_state(status_.state())) return;
  std::string usage = std::to_string(status_.usage().input_tokens()) + " tokens in, " +
                      std::to_string(status_.usage().output_tokens()) + " out";
  if (tool_calls_ > 0) usage += ", " + std::to_string(tool_calls_) + " tool calls";
  usage += "; run " + run_id_ + ", session " + session_id_;
  std::fprintf(stderr, "%s\n", styled(Style::kDim, usage, 2).c_str());
}

}  // namespace palyra::cli
