// Replay over the journal and the gateway's face.
#pragma once

#include "plugins/gateway/replay/prompt.h"
#include "plugins/gateway/replay/replays.h"
#include "plugins/gateway/replay/run_file.h"

#include <optional>
#include <string>
#include <vector>

namespace palyra::gateway {

// Reads only, but for repeat_run. What a caller may see is asked of the gateway. On the gateway's
// lane; everything it is given outlives it.
class ReplaysImpl final : public Replays {
 public:
  ReplaysImpl(const World& world, Gateway& gateway, Repeats& repeats, run::SchemaCheck schema_check,
              std::string version);

  Task<Result<api::ReplayReport>> replay_run(Caller caller, api::ReplayRunRequest request) override;
  Task<Status> replay_all(Caller caller, api::ReplayAllRequest request,
                          Send<api::ReplayAllEvent> send) override;
  Task<Result<api::RepeatRunResponse>> repeat_run(Caller caller,
                                                  api::RepeatRunRequest request) override;
  Task<Result<api::RunComparison>> compare_runs(Caller caller,
                                                api::CompareRunsRequest request) override;
  Task<Status> export_run(Caller caller, api::ExportRunRequest request,
                          Send<api::FilePart> send) override;
  Task<Result<api::ReplayFileResponse>> replay_file(
      Caller caller, Receive<api::ReplayFileRequest> receive) override;

 private:
  // A tape in memory; erased records are missing in `records` and named in `erased`.
  struct Tape {
    std::vector<replay::Record> records;
    std::vector<uint64_t> erased;
  };

  Task<Result<Tape>> load(std::string run_id);
  Task<Result<replay::PromptSources>> sources(Caller caller,
                                              const std::vector<replay::Record>& tape);
  Task<Result<std::optional<tape::TurnRef>>> parent_of(const run::State& state);
  Task<Result<api::RepeatRunResponse>> repeat(Caller caller, api::RepeatRunRequest request,
                                              const std::vector<replay::Record>& tape,
                                              std::optional<tape::TurnRef> parent);

  const World world_;
  Gateway& gateway_;
  Repeats& repeats_;
  const run::SchemaCheck schema_check_;
  const std::string version_;
};

}  // namespace palyra::gateway
