#include "clients/cli/commands.h"
#include "clients/cli/connection.h"
#include "clients/cli/ctrl_c.h"
#include "clients/cli/run_view.h"
#include "clients/cli/terminal.h"
#include "clients/cli/words.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace palyra::cli {

namespace {

using Stub = api::GatewayService::Stub;

// One question of WaitRun; the daemon answers earlier if the run ends.
constexpr int kWaitPartSeconds = 20;

void print_run(const api::Run& run) {
  const auto line = [](const char* name, const std::string& value) {
    if (!value.empty()) std::printf("%-9s %s\n", name, one_line(value).c_str());
  };
  line("run", run.run_id());
  line("state", state_words(run.state(), run.wait_reason()));
  line("session", run.session_id());
  line("agent", run.agent_id());
  line("model", run.model());
  line("created", local_time(run.created_at_ms()));
  line("finished", local_time(run.finished_at_ms()));
  line("tokens", std::to_string(run.usage().input_tokens()) + " in, " +
                     std::to_string(run.usage().output_tokens()) + " out");
  line("input", run.input_preview());
  if (run.inputs_added() > 0) {
    line("joined",
         std::to_string(run.inputs_added()) + " more; see: palyra tape show " + run.run_id());
  }
  line("failure", run.failure().message());
  if (!run.text().empty()) std::printf("\n%s\n", printable(run.text()).c_str());
}

int code_of(const api::Run& run) {
  switch (run.state()) {
    case api::RUN_STATE_FAILED:
    case api::RUN_STATE_CANCELLED:
      return kExitRunFailed;
    case api::RUN_STATE_COMPLETED:
      return kExitOk;
    default:
      return kExitWaiting;
  }
}

}  // namespace

int list_runs(const GlobalOptions& global, const std::string& session, bool active, int limit) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::ListRunsRequest request;
  request.set_session_id(session);
  request.set_active_only(active);
  Table table({"RUN", "STATE", "CREATED", "SESSION", "INPUT"});
  return list_and_print<api::Run, Stub, api::ListRunsRequest, api::ListRunsResponse>(
      connection, connection.gateway(), &Stub::ListRuns, request, limit,
      [](const api::ListRunsResponse& response) -> const auto& { return response.runs(); },
      [&](const api::Run& run) {
        table.add({run.run_id(), state_words(run.state(), run.wait_reason()),
                   local_time(run.created_at_ms()), run.session_id(),
                   shortened(run.input_preview(), 60)});
      },
      [&](bool more) {
        if (table.empty() && active) {
          return (void)std::printf("No run is active%s. See: palyra runs list\n",
                                   session.empty() ? "" : " in this session");
        }
        if (table.empty() && !session.empty()) {
          return (void)std::printf("No runs in this session. See: palyra runs list\n");
        }
        if (table.empty()) {
          return (void)std::printf("No runs. Start one with: palyra run \"hello\"\n");
        }
        table.print();
        if (more) std::fprintf(stderr, "There are more; use --limit.\n");
      });
}

int show_run(const GlobalOptions& global, const std::string& run_id) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::GetRunRequest request;
  request.set_run_id(run_id);
  return call_and_print<Stub, api::GetRunRequest, api::Run>(
      connection, connection.gateway(), &Stub::GetRun, request, [](const api::Run& run) {
        print_run(run);
        return static_cast<int>(kExitOk);
      });
}

int cancel_run(const GlobalOptions& global, const std::string& run_id, const std::string& reason) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::CancelRunRequest request;
  request.set_run_id(run_id);
  request.set_reason(reason);
  return call_and_print<Stub, api::CancelRunRequest, api::CancelRunResponse>(
      connection, connection.gateway(), &Stub::CancelRun, request,
      [](const api::CancelRunResponse& response) {
        const bool ended = response.state() == api::RUN_STATE_COMPLETED ||
                           response.state() == api::RUN_STATE_CANCELLED ||
                           response.state() == api::RUN_STATE_FAILED;
        // It was told to; what it does at this moment is of no use.
        std::printf("%s\n", ended ? state_words(response.state(), {}).c_str() : "cancelling");
        return static_cast<int>(kExitOk);
      });
}

int attach_run(const GlobalOptions& global, const std::string& run_id, const std::string& approve) {
  CtrlC::block();
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::RunStreamRequest request;
  request.mutable_attach()->set_run_id(run_id);
  RunView view(connection, approve_mode(approve));
  return view.follow(request);
}

int wait_run(const GlobalOptions& global, const std::string& run_id, int seconds) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  const auto now = [] { return std::chrono::steady_clock::now(); };
  const auto deadline = now() + std::chrono::seconds(seconds);
  Progress progress("waiting for run " + run_id);
  api::WaitRunResponse response;
  do {
    auto part = std::chrono::milliseconds(std::chrono::seconds(kWaitPartSeconds));
    if (seconds > 0) {
      part = std::min(part, std::chrono::ceil<std::chrono::milliseconds>(deadline - now()));
    }
    api::WaitRunRequest request;
    request.set_run_id(run_id);
    request.set_until_waiting(true);
    request.set_timeout_ms(std::max<int64_t>(part.count(), 1));
    auto context = connection.context(kWaitPartSeconds + 10);
    const auto status = ask_run(connection, *context, request, &response);
    if (!status.ok()) return connection.explain(status);
  } while (response.timed_out() && (seconds == 0 || now() < deadline));
  progress.alive();
  if (global.output == Output::kText) {
    print_run(response.run());
  } else {
    std::printf("%s\n", to_json(response.run(), global.output == Output::kJson).c_str());
  }
  if (response.timed_out()) {
    return complain("run " + run_id + " has not ended after " + counted(seconds, "second") +
                        " and goes on; wait longer, or see: palyra runs attach " + run_id,
                    kExitTimeout);
  }
  return code_of(response.run());
}

}  // namespace palyra::cli
