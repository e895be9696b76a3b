#include "plugins/gateway/transport/grpc/server.h"

#include "plugins/gateway/transport/grpc/services.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include <absl/synchronization/mutex.h>
#include <charconv>
#include <chrono>

namespace palyra::gateway::transport {

namespace {

// Bounds that hold before anybody is authenticated.
constexpr int kMaxMessageBytes = 4 << 20;
constexpr int kMaxHeaderBytes = 16 << 10;
constexpr int kMaxStreamsPerConnection = 1024;
constexpr size_t kMaxBufferedBytes = size_t{256} << 20;
constexpr int kMaxThreads = 64;

struct Address {
  std::string host;
  int port = -1;
};

Address parse_address(const std::string& listen) {
  Address address;
  const auto colon = listen.rfind(':');
  if (colon == std::string::npos) return address;
  address.host = listen.substr(0, colon);
  const char* first = listen.data() + colon + 1;
  const char* last = listen.data() + listen.size();
  int port = -1;
  const auto [end, error] = std::from_chars(first, last, port);
  if (error == std::errc() && end == last && port >= 0 && port <= 65535) address.port = port;
  return address;
}

bool is_loopback(const std::string& host) {
  if (host == "localhost" || host == "[::1]") return true;
  // 127.0.0.0/8 in dotted form only: names and other notations are not trusted to stay local.
  return host.rfind("127.", 0) == 0 && host.find_first_not_of("0123456789.") == std::string::npos;
}

}  // namespace

Status check_listen_address(const std::string& listen) {
  const Address address = parse_address(listen);
  if (address.host.empty() || address.port < 0) {
    return Status(Code::kInvalidArgument,
                  "gateway.grpc_listen = \"" + listen +
                      "\" is not host:port; use for example \"127.0.0.1:7443\"");
  }
  if (!is_loopback(address.host)) {
    return Status(Code::kFailedPrecondition,
                  "gateway.grpc_listen = \"" + listen +
                      "\" is reachable from other machines and this listener has no TLS; bind "
                      "127.0.0.1 and use a tunnel to reach it from elsewhere");
  }
  return {};
}

struct GrpcServer::State {
  State(Executor& lane, TaskScope& tasks, const Clock& clock, Admission& admission,
        const Faces& faces_in)
      : context{lane, tasks, clock, admission, {}}, faces(faces_in) {}

  TransportContext context;
  const Faces faces;
  std::string endpoint;
  std::vector<ServiceFactory> more;
  std::vector<std::unique_ptr<grpc::Service>> services;
  std::unique_ptr<grpc::Server> server;
};

GrpcServer::GrpcServer(Executor& lane, TaskScope& tasks, const Clock& clock, Admission& admission,
                       const Faces& faces)
    : state_(std::make_unique<State>(lane, tasks, clock, admission, faces)) {}

GrpcServer::~GrpcServer() { stop(); }

void GrpcServer::add(ServiceFactory service) { state_->more.push_back(std::move(service)); }

Status GrpcServer::start(const std::string& listen) {
  if (auto safe = check_listen_address(listen); !safe.ok()) return safe;
  // Debian's absl is built for debugging: its mutexes would keep a graph of who waits for whom and
  // end the process on a cycle.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  // A second daemon must fail on the port, not share it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxHeaderBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  grpc::ResourceQuota quota("palyra");
  quota.Resize(kMaxBufferedBytes);
  quota.SetMaxThreads(kMaxThreads);
  builder.SetResourceQuota(quota);

  state_->services = make_services(state_->context, state_->faces);
  for (const ServiceFactory& make : state_->more) {
    state_->services.push_back(make(state_->context));
  }
  for (auto& service : state_->services) builder.RegisterService(service.get());
  state_->server = builder.BuildAndStart();
  if (state_->server == nullptr || port == 0) {
    state_->server.reset();
    return Status(Code::kUnavailable,
                  "cannot listen on " + listen +
                      ": the port is in use (another palyrad?) or not allowed; change "
                      "gateway.grpc_listen or stop the other program");
  }
  state_->endpoint = parse_address(listen).host + ":" + std::to_string(port);
  set_serving(false);
  return {};
}

const std::string& GrpcServer::endpoint() const { return state_->endpoint; }

void GrpcServer::set_serving(bool serving) {
  state_->context.serving = serving;
  if (state_->server == nullptr) return;
  if (auto* health = state_->server->GetHealthCheckService()) health->SetServingStatus(serving);
}

void GrpcServer::end_calls() { state_->context.live.close(shutting_down()); }

void GrpcServer::stop() {
  if (state_->server == nullptr) return;
  end_calls();
  // Every reactor has been finished; the deadline only bounds clients that do not read their
  // status.
  state_->server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(250));
  state_->server->Wait();
  state_->server.reset();
}

uint64_t GrpcServer::deadline_breaches() const { return state_->context.deadline_breaches.load(); }

}  // namespace palyra::gateway::transport
