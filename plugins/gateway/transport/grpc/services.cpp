#include "plugins/gateway/transport/grpc/services.h"

#include "palyra/gateway/v1/admin.grpc.pb.h"
#include "palyra/gateway/v1/approvals.grpc.pb.h"
#include "palyra/gateway/v1/gateway.grpc.pb.h"
#include "palyra/gateway/v1/sessions.grpc.pb.h"
#include "palyra/gateway/v1/storage.grpc.pb.h"
#include "plugins/gateway/transport/grpc/audit_service.h"
#include "plugins/gateway/transport/grpc/replay_service.h"
#include "plugins/gateway/transport/grpc/run_stream.h"
#include "plugins/gateway/transport/grpc/unary.h"

namespace palyra::gateway::transport {

namespace {

using Unary = grpc::ServerUnaryReactor;
using Call = grpc::CallbackServerContext;

// A run may be waited for as long as the request says, and a little.
constexpr int64_t kWaitRunTimeout = 310 * kNanosPerSecond;
// A long session is erased and archived run by run.
constexpr int64_t kEraseTimeout = 310 * kNanosPerSecond;

class GatewayServiceImpl final : public api::GatewayService::CallbackService {
 public:
  GatewayServiceImpl(TransportContext& context, Gateway& gateway)
      : context_(context), gateway_(gateway) {}

  grpc::ServerBidiReactor<api::RunStreamRequest, api::RunStreamEvent>* RunStream(
      Call* call) override {
    return serve_run_stream(context_, gateway_, call);
  }
  Unary* RouteMessage(Call* call, const api::RouteMessageRequest* request,
                      api::RouteMessageResponse* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Gateway::route_message);
  }
  Unary* WaitRun(Call* call, const api::WaitRunRequest* request,
                 api::WaitRunResponse* response) override {
    return serve(call, request, response, kScopeRunsRead, &Gateway::wait_run, kWaitRunTimeout);
  }
  Unary* CancelRun(Call* call, const api::CancelRunRequest* request,
                   api::CancelRunResponse* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Gateway::cancel_run);
  }
  Unary* GetRun(Call* call, const api::GetRunRequest* request, api::Run* response) override {
    return serve(call, request, response, kScopeRunsRead, &Gateway::get_run);
  }
  Unary* ListRuns(Call* call, const api::ListRunsRequest* request,
                  api::ListRunsResponse* response) override {
    return serve(call, request, response, kScopeRunsRead, &Gateway::list_runs);
  }
  Unary* ReadTape(Call* call, const api::ReadTapeRequest* request,
                  api::ReadTapeResponse* response) override {
    return serve(call, request, response, kScopeRunsRead, &Gateway::read_tape);
  }
  Unary* VerifyTape(Call* call, const api::VerifyTapeRequest* request,
                    api::VerifyTapeResponse* response) override {
    return serve(call, request, response, kScopeRunsRead, &Gateway::verify_tape);
  }
  Unary* ResolveSession(Call* call, const api::ResolveSessionRequest* request,
                        api::Session* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Gateway::resolve_session);
  }
  Unary* GetSession(Call* call, const api::GetSessionRequest* request,
                    api::Session* response) override {
    return serve(call, request, response, kScopeRunsRead, &Gateway::get_session);
  }
  Unary* ListSessions(Call* call, const api::ListSessionsRequest* request,
                      api::ListSessionsResponse* response) override {
    return serve(call, request, response, kScopeRunsRead, &Gateway::list_sessions);
  }
  Unary* RenameSession(Call* call, const api::RenameSessionRequest* request,
                       api::Session* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Gateway::rename_session);
  }
  Unary* ArchiveSession(Call* call, const api::ArchiveSessionRequest* request,
                        api::Session* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Gateway::archive_session);
  }
  Unary* ResetSession(Call* call, const api::ResetSessionRequest* request,
                      api::Session* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Gateway::reset_session);
  }
  Unary* ListAgents(Call* call, const api::ListAgentsRequest* request,
                    api::ListAgentsResponse* response) override {
    return serve(call, request, response, kScopeRunsRead, &Gateway::list_agents);
  }
  Unary* GetAgent(Call* call, const api::GetAgentRequest* request, api::Agent* response) override {
    return serve(call, request, response, kScopeRunsRead, &Gateway::get_agent);
  }

 private:
  template <typename Request, typename Response>
  Unary* serve(Call* call, const Request* request, Response* response, const char* scope,
               Task<Result<Response>> (Gateway::*function)(Caller, Request),
               int64_t timeout_ns = 0) {
    return serve_by(context_, gateway_, call, request, response, scope, function, timeout_ns);
  }

  TransportContext& context_;
  Gateway& gateway_;
};

class SessionServiceImpl final : public api::SessionService::CallbackService {
 public:
  SessionServiceImpl(TransportContext& context, Sessions& sessions)
      : context_(context), sessions_(sessions) {}

  Unary* SetQueueMode(Call* call, const api::SetQueueModeRequest* request,
                      api::Session* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Sessions::set_queue_mode);
  }
  Unary* BranchSession(Call* call, const api::BranchSessionRequest* request,
                       api::Session* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Sessions::branch_session);
  }
  Unary* RewindSession(Call* call, const api::RewindSessionRequest* request,
                       api::Session* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Sessions::rewind_session);
  }
  Unary* ListTurns(Call* call, const api::ListTurnsRequest* request,
                   api::ListTurnsResponse* response) override {
    return serve(call, request, response, kScopeRunsRead, &Sessions::list_turns);
  }
  Unary* CompareSessions(Call* call, const api::CompareSessionsRequest* request,
                         api::CompareSessionsResponse* response) override {
    return serve(call, request, response, kScopeRunsRead, &Sessions::compare_sessions);
  }
  Unary* SearchSessions(Call* call, const api::SearchSessionsRequest* request,
                        api::SearchSessionsResponse* response) override {
    return serve(call, request, response, kScopeRunsRead, &Sessions::search_sessions);
  }
  Unary* PinFact(Call* call, const api::PinFactRequest* request,
                 palyra::tape::v1::FactPinned* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Sessions::pin_fact);
  }
  Unary* UnpinFact(Call* call, const api::UnpinFactRequest* request,
                   api::Session* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Sessions::unpin_fact);
  }
  Unary* ListPins(Call* call, const api::ListPinsRequest* request,
                  api::ListPinsResponse* response) override {
    return serve(call, request, response, kScopeRunsRead, &Sessions::list_pins);
  }
  Unary* CompactSession(Call* call, const api::CompactSessionRequest* request,
                        api::CompactSessionResponse* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Sessions::compact_session);
  }
  Unary* ExpandSession(Call* call, const api::ExpandSessionRequest* request,
                       api::Session* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Sessions::expand_session);
  }
  Unary* ExplainRun(Call* call, const api::ExplainRunRequest* request,
                    api::ExplainRunResponse* response) override {
    return serve(call, request, response, kScopeRunsRead, &Sessions::explain_run);
  }

 private:
  template <typename Request, typename Response>
  Unary* serve(Call* call, const Request* request, Response* response, const char* scope,
               Task<Result<Response>> (Sessions::*function)(Caller, Request)) {
    return serve_by(context_, sessions_, call, request, response, scope, function);
  }

  TransportContext& context_;
  Sessions& sessions_;
};

class ApprovalsServiceImpl final : public api::ApprovalsService::CallbackService {
 public:
  ApprovalsServiceImpl(TransportContext& context, Gateway& gateway)
      : context_(context), gateway_(gateway) {}

  Unary* ListApprovals(Call* call, const api::ListApprovalsRequest* request,
                       api::ListApprovalsResponse* response) override {
    return serve_by(context_, gateway_, call, request, response, kScopeRunsRead,
                    &Gateway::list_approvals);
  }
  Unary* DecideApproval(Call* call, const api::ApprovalDecision* request,
                        api::Approval* response) override {
    return serve_by(context_, gateway_, call, request, response, kScopeApprovalsDecide,
                    &Gateway::decide_approval);
  }

 private:
  TransportContext& context_;
  Gateway& gateway_;
};

class AdminServiceImpl final : public api::AdminService::CallbackService {
 public:
  AdminServiceImpl(TransportContext& context, Admin& admin) : context_(context), admin_(admin) {}

  Unary* ListPlugins(Call* call, const api::ListPluginsRequest* request,
                     api::ListPluginsResponse* response) override {
    return serve(call, request, response, &Admin::list_plugins);
  }
  Unary* GetConfig(Call* call, const api::GetConfigRequest* request,
                   api::GetConfigResponse* response) override {
    return serve(call, request, response, &Admin::get_config);
  }
  Unary* ListModels(Call* call, const api::ListModelsRequest* request,
                    api::ListModelsResponse* response) override {
    return serve(call, request, response, &Admin::list_models);
  }
  Unary* Doctor(Call* call, const api::DoctorRequest* request,
                api::DoctorResponse* response) override {
    return serve(call, request, response, &Admin::doctor);
  }
  Unary* GetStatus(Call* call, const api::GetStatusRequest* request,
                   api::GetStatusResponse* response) override {
    return serve(call, request, response, &Admin::get_status);
  }

 private:
  template <typename Request, typename Response>
  Unary* serve(Call* call, const Request* request, Response* response,
               Task<Result<Response>> (Admin::*function)(Caller, Request)) {
    return serve_by(context_, admin_, call, request, response, kScopeAdmin, function);
  }

  TransportContext& context_;
  Admin& admin_;
};

class StorageServiceImpl final : public api::StorageService::CallbackService {
 public:
  StorageServiceImpl(TransportContext& context, Storage& storage)
      : context_(context), storage_(storage) {}

  Unary* EraseSession(Call* call, const api::EraseSessionRequest* request,
                      api::EraseResponse* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Storage::erase_session, kEraseTimeout);
  }
  Unary* EraseRun(Call* call, const api::EraseRunRequest* request,
                  api::EraseResponse* response) override {
    return serve(call, request, response, kScopeRunsWrite, &Storage::erase_run, kEraseTimeout);
  }
  Unary* GetStorage(Call* call, const api::GetStorageRequest* request,
                    api::StorageStatus* response) override {
    return serve(call, request, response, kScopeAdmin, &Storage::status);
  }
  Unary* ArchiveSessions(Call* call, const api::ArchiveSessionsRequest* request,
                         api::ArchiveSessionsResponse* response) override {
    return serve(call, request, response, kScopeAdmin, &Storage::archive, kEraseTimeout);
  }
  Unary* Vacuum(Call* call, const api::VacuumRequest* request,
                api::VacuumResponse* response) override {
    return serve(call, request, response, kScopeAdmin, &Storage::vacuum);
  }

 private:
  template <typename Request, typename Response>
  Unary* serve(Call* call, const Request* request, Response* response, const char* scope,
               Task<Result<Response>> (Storage::*function)(Caller, Request),
               int64_t timeout_ns = 0) {
    return serve_by(context_, storage_, call, request, response, scope, function, timeout_ns);
  }

  TransportContext& context_;
  Storage& storage_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> make_services(TransportContext& context,
                                                          const Faces& faces) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<GatewayServiceImpl>(context, faces.gateway));
  services.push_back(std::make_unique<SessionServiceImpl>(context, faces.sessions));
  services.push_back(std::make_unique<ApprovalsServiceImpl>(context, faces.gateway));
  services.push_back(std::make_unique<AdminServiceImpl>(context, faces.admin));
  services.push_back(make_audit_service(context, faces.audit));
  services.push_back(make_replay_service(context, faces.replays));
  services.push_back(std::make_unique<StorageServiceImpl>(context, faces.storage));
  return services;
}

}  // namespace palyra::gateway::transport
