// Replay over the journal and the gateway's face.
#pragma once

#include "plugins/gateway/replay/pace.h"
#include "plugins/gateway/replay/prompt.h"
#include "plugins/gateway/replay/replays.h"
#include "plugins/gateway/replay/run_file.h"

#include <optional>
#include <string>
#include <vector>

namespace palyra::gateway {

// Reads only, but for repeat_run. What a caller may see is asked of the gateway. Each call holds
// one or two tapes in memory, so that few are let in at once. On the gateway's lane; everything it
// is given outlives it, and it outlives its calls.
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
  Task<Result<api::ReplayFileResponse>> replay_file(Caller caller,
                                                    Receive<api::ReplayFileRequest> receive,
                                                    Gone gone) override;

 private:
  // A call that was let in, until its frame ends.
  class Seat {
   public:
    explicit Seat(int& taken) : taken_(taken) { ++taken_; }
    ~Seat() { --taken_; }
    Seat(const Seat&) = delete;
    // Whether it was one too many.
    bool crowded() const { return taken_ > kReplaysAtOnce; }

   private:
    int& taken_;
  };

  // A tape in memory; erased records are missing in `records` and named in `erased`.
  struct Tape {
    std::vector<replay::Record> records;
    std::vector<uint64_t> erased;
  };

  Task<Result<Tape>> load(std::string run_id);
  // CANCELLED if the pace says so.
  Task<Result<run::State>> fold(const std::vector<replay::Record>& tape, replay::Pace& pace);
  Task<Result<api::ReplayReport>> checked(const Tape& tape,
                                          std::optional<replay::PromptSources> sources, bool over,
                                          replay::Pace& pace);
  Task<Result<api::RunComparison>> compared(const std::vector<replay::Record>& left,
                                            const std::vector<replay::Record>& right,
                                            replay::Pace& pace);
  Task<Result<replay::PromptSources>> sources(Caller caller,
                                              const std::vector<replay::Record>& tape,
                                              replay::Pace& pace);
  // Why not, if it cannot be had whole or has no room.
  Task<Result<std::vector<palyra::service::v1::Record>>> earlier_run(std::string stream,
                                                                     size_t room);
  Task<Result<std::optional<tape::TurnRef>>> parent_of(const run::State& state);
  Task<Result<api::RepeatRunResponse>> repeat(Caller caller, api::RepeatRunRequest request,
                                              const run::State& state,
                                              std::optional<tape::TurnRef> parent);

  const World world_;
  Gateway& gateway_;
  Repeats& repeats_;
  const run::SchemaCheck schema_check_;
  const std::string version_;
  int calls_ = 0;
};

// The sentence for records first..last (0 = and all behind) that are not in the stream.
Status records_missing(const std::string& stream, uint64_t first, uint64_t last);
Status too_many_replays();
Status nobody_waits();
Status erased_for(const std::string& run_id, std::string_view what);

}  // namespace palyra::gateway
