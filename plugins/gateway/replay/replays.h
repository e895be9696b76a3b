// Replay as every transport calls it: the face of ReplayService.
#pragma once

#include "palyra/gateway/v1/replay.pb.h"
#include "palyra/tape/v1/session.pb.h"
#include "plugins/gateway/gateway.h"
#include "plugins/gateway/streams.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace palyra::gateway {

namespace tape = palyra::tape::v1;

// On the gateway's lane. A principal sees its own runs, the scope admin all; errors of all:
// INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE (no journal), DATA_LOSS (records are
// missing), RESOURCE_EXHAUSTED (a tape of more than 64 MiB; more than kReplaysAtOnce calls). Long
// work lets the lane run others.
inline constexpr int kReplaysAtOnce = 4;

class Replays {
 public:
  virtual ~Replays() = default;

  virtual Task<Result<api::ReplayReport>> replay_run(Caller caller,
                                                     api::ReplayRunRequest request) = 0;
  virtual Task<Status> replay_all(Caller caller, api::ReplayAllRequest request,
                                  Send<api::ReplayAllEvent> send) = 0;
  virtual Task<Result<api::RepeatRunResponse>> repeat_run(Caller caller,
                                                          api::RepeatRunRequest request) = 0;
  virtual Task<Result<api::RunComparison>> compare_runs(Caller caller,
                                                        api::CompareRunsRequest request) = 0;
  virtual Task<Status> export_run(Caller caller, api::ExportRunRequest request,
                                  Send<api::FilePart> send) = 0;
  // DATA_LOSS for a file that is cut off or altered; CANCELLED once the client is `gone`.
  virtual Task<Result<api::ReplayFileResponse>> replay_file(Caller caller,
                                                            Receive<api::ReplayFileRequest> receive,
                                                            Gone gone) = 0;
};

// A run to be done again with something changed.
struct Repetition {
  // Of the original, with the changes: what the new run has in common with it. Ids, principal,
  // origin and channel are the new run's own.
  tape::RunCreated created;
  // Messages that joined the original.
  std::vector<tape::InputAdded> inputs;
  std::string title;  // of its session
  // Where its session begins: the turn that the original was built on. None = before the first.
  std::optional<tape::TurnRef> parent;
  std::string idempotency_key;
};

// Starts it through the one way in: durable before it answers. With live tools the workspace and
// the allowed tools are those that the agent has now.
class Repeats {
 public:
  virtual ~Repeats() = default;
  virtual Task<Result<AcceptedInput>> repeat(Caller caller, Repetition repetition) = 0;
};

}  // namespace palyra::gateway
