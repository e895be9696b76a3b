// The gateway without transports: what every entry (gRPC today, HTTP, cron and channels the same
// way) calls. One instance, on the gateway's lane; every function is called there and resumes
// there.
#pragma once

#include "palyra/gateway/v1/approvals.pb.h"
#include "palyra/gateway/v1/gateway.pb.h"
#include "palyra/status.hpp"
#include "palyra/task.hpp"
#include "plugins/gateway/ports/ports.h"

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace palyra::gateway {

namespace api = palyra::gateway::v1;

// Who calls, from the server's record of the credential; never from the client's words.
struct Caller {
  std::string principal;
  std::set<std::string> scopes;  // "runs.write", "runs.read", "approvals.decide", "admin"
  std::string credential_id;
  std::string device_id;  // ULID or empty
  std::string channel;    // "cli", "grpc", "channel:<instance>:..."
  std::string surface;    // the transport: "grpc", ...

  bool may(const std::string& scope) const { return scopes.count(scope) != 0; }
};

// One client's view of one run: a cursor over tape, partial text and live deltas, without gap or
// duplicate. It pulls, so a slow client costs no memory and never slows the run: what it has not
// read in time comes from the tape, and deltas merge.
class Subscription {
 public:
  virtual ~Subscription() = default;
  // The next event; waits for it. Empty after the terminal event, and after close().
  virtual Task<std::optional<api::RunStreamEvent>> next() = 0;
  // Wakes a waiting next(), which then answers empty.
  virtual void close() = 0;
};

struct AcceptedInput {
  std::string session_id;
  std::string run_id;
  uint64_t position = 0;
  bool duplicate = false;
  palyra::tape::v1::QueueMode mode = palyra::tape::v1::QUEUE_MODE_UNSPECIFIED;  // as it was taken
  std::string input_id;
};

class Gateway {
 public:
  virtual ~Gateway() = default;

  // Durable before it answers. Errors: INVALID_ARGUMENT (text, ids), NOT_FOUND (session, agent,
  // model), PERMISSION_DENIED (another principal's session), RESOURCE_EXHAUSTED (queue full, or as
  // many joined a run as may), UNAVAILABLE (no journal).
  virtual Task<Result<AcceptedInput>> start_run(Caller caller, api::RunStart request) = 0;
  virtual Task<Result<api::RouteMessageResponse>> route_message(
      Caller caller, api::RouteMessageRequest request) = 0;
  virtual Task<Result<AcceptedInput>> follow_up(Caller caller, std::string session_id,
                                                api::FollowUp request) = 0;
  virtual Task<Result<std::unique_ptr<Subscription>>> attach(Caller caller,
                                                             api::RunAttach request) = 0;

  virtual Task<Result<api::WaitRunResponse>> wait_run(Caller caller,
                                                      api::WaitRunRequest request) = 0;
  virtual Task<Result<api::CancelRunResponse>> cancel_run(Caller caller,
                                                          api::CancelRunRequest request) = 0;
  virtual Task<Result<api::Run>> get_run(Caller caller, api::GetRunRequest request) = 0;
  virtual Task<Result<api::ListRunsResponse>> list_runs(Caller caller,
                                                        api::ListRunsRequest request) = 0;
  virtual Task<Result<api::ReadTapeResponse>> read_tape(Caller caller,
                                                        api::ReadTapeRequest request) = 0;
  virtual Task<Result<api::VerifyTapeResponse>> verify_tape(Caller caller,
                                                            api::VerifyTapeRequest request) = 0;
  virtual Task<Result<api::Session>> resolve_session(Caller caller,
                                                     api::ResolveSessionRequest request) = 0;
  virtual Task<Result<api::Session>> get_session(Caller caller, api::GetSessionRequest request) = 0;
  virtual Task<Result<api::ListSessionsResponse>> list_sessions(
      Caller caller, api::ListSessionsRequest request) = 0;
  virtual Task<Result<api::Session>> rename_session(Caller caller,
                                                    api::RenameSessionRequest request) = 0;
  virtual Task<Result<api::Session>> archive_session(Caller caller,
                                                     api::ArchiveSessionRequest request) = 0;
  virtual Task<Result<api::Session>> reset_session(Caller caller,
                                                   api::ResetSessionRequest request) = 0;
  virtual Task<Result<api::ListAgentsResponse>> list_agents(Caller caller,
                                                            api::ListAgentsRequest request) = 0;
  virtual Task<Result<api::Agent>> get_agent(Caller caller, api::GetAgentRequest request) = 0;
  virtual Task<Result<api::ListApprovalsResponse>> list_approvals(
      Caller caller, api::ListApprovalsRequest request) = 0;
  virtual Task<Result<api::Approval>> decide_approval(Caller caller,
                                                      api::ApprovalDecision request) = 0;

  // Figures for status: runs by state and queued inputs.
  struct Load {
    uint32_t active_runs = 0;
    uint32_t waiting_runs = 0;
    uint32_t queued_inputs = 0;
  };
  virtual Load load() const = 0;

  // Folds and continues every unfinished run; called once the journal is there.
  virtual Task<Status> recover() = 0;
  // No new runs are accepted (UNAVAILABLE); in-flight effects may finish. Used by drain.
  virtual void begin_drain() = 0;
  // Ends every coroutine without writing; what is unfinished is recovered at the next start.
  virtual Task<void> shutdown() = 0;
};

}  // namespace palyra::gateway
