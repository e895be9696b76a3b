#include "plugins/gateway/transport/grpc/replay_service.h"

#include "palyra/gateway/v1/replay.grpc.pb.h"
#include "plugins/gateway/transport/grpc/stream_calls.h"
#include "plugins/gateway/transport/grpc/unary.h"

namespace palyra::gateway::transport {
namespace {

using Call = grpc::CallbackServerContext;

// A long tape, and the earlier runs that it was shown.
constexpr int64_t kReplayTimeout = 300 * kNanosPerSecond;

class ReplayServiceImpl final : public api::ReplayService::CallbackService {
 public:
  ReplayServiceImpl(TransportContext& context, Replays& replays)
      : context_(context), replays_(replays) {}

  grpc::ServerUnaryReactor* ReplayRun(Call* call, const api::ReplayRunRequest* request,
                                      api::ReplayReport* response) override {
    return serve(call, request, response, kScopeRunsRead, &Replays::replay_run);
  }
  grpc::ServerUnaryReactor* RepeatRun(Call* call, const api::RepeatRunRequest* request,
                                      api::RepeatRunResponse* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Replays::repeat_run);
  }
  grpc::ServerUnaryReactor* CompareRuns(Call* call, const api::CompareRunsRequest* request,
                                        api::RunComparison* response) override {
    return serve(call, request, response, kScopeRunsRead, &Replays::compare_runs);
  }
  grpc::ServerWriteReactor<api::ReplayAllEvent>* ReplayAll(
      Call* call, const api::ReplayAllRequest* request) override {
    return send_stream<api::ReplayAllRequest, api::ReplayAllEvent>(
        context_, call, request, kScopeRunsRead,
        [this](Caller caller, api::ReplayAllRequest input, Send<api::ReplayAllEvent> send) {
          return replays_.replay_all(std::move(caller), std::move(input), std::move(send));
        });
  }
  grpc::ServerWriteReactor<api::FilePart>* ExportRun(
      Call* call, const api::ExportRunRequest* request) override {
    return send_stream<api::ExportRunRequest, api::FilePart>(
        context_, call, request, kScopeRunsRead,
        [this](Caller caller, api::ExportRunRequest input, Send<api::FilePart> send) {
          return replays_.export_run(std::move(caller), std::move(input), std::move(send));
        });
  }
  grpc::ServerReadReactor<api::ReplayFileRequest>* ReplayFile(
      Call* call, api::ReplayFileResponse* response) override {
    return receive_stream<api::ReplayFileRequest, api::ReplayFileResponse>(
        context_, call, response, kScopeRunsRead,
        [this](Caller caller, Receive<api::ReplayFileRequest> receive, Gone gone) {
          return replays_.replay_file(std::move(caller), std::move(receive), std::move(gone));
        });
  }

 private:
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* serve(Call* call, const Request* request, Response* response,
                                  const char* scope,
                                  Task<Result<Response>> (Replays::*function)(Caller, Request)) {
    return serve_by(context_, replays_, call, request, response, scope, function, kReplayTimeout);
  }

  TransportContext& context_;
  Replays& replays_;
};

}  // namespace

std::unique_ptr<grpc::Service> make_replay_service(TransportContext& context, Replays& replays) {
  return std::make_unique<ReplayServiceImpl>(context, replays);
}

}  // namespace palyra::gateway::transport
