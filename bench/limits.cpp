#include "bench/limits.h"

#include "bench/clock.h"
#include "palyra/gateway/v1/gateway.grpc.pb.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdlib>
#include <fcntl.h>
#include <stdexcept>
#include <thread>
#include <unistd.h>

namespace palyra::bench {

namespace api = palyra::gateway::v1;

Samples fdatasync_seconds(const std::string& directory, double seconds) {
  std::string pattern = directory + "/fdatasync-XXXXXX";
  const int fd = mkstemp(pattern.data());
  if (fd < 0) throw std::runtime_error("cannot write in " + directory);
  unlink(pattern.c_str());
  const std::string block(4096, 'x');
  Samples samples;
  const Stopwatch all;
  while (all.seconds() < seconds) {
    const Stopwatch one;
    if (write(fd, block.data(), block.size()) != static_cast<ssize_t>(block.size()) ||
        fdatasync(fd) != 0) {
      throw std::runtime_error("fdatasync failed in " + directory);
    }
    samples.add(one.seconds());
  }
  close(fd);
  return samples;
}

namespace {

// Echoes each request's text as a delta.
class EchoReactor : public grpc::ServerBidiReactor<api::RunStreamRequest, api::RunStreamEvent> {
 public:
  EchoReactor() { StartRead(&request_); }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    event_.mutable_model_delta()->set_text(request_.follow_up().text());
    StartWrite(&event_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    StartRead(&request_);
  }
  void OnDone() override { delete this; }

 private:
  api::RunStreamRequest request_;
  api::RunStreamEvent event_;
};

class EchoService : public api::GatewayService::CallbackService {
 public:
  grpc::ServerBidiReactor<api::RunStreamRequest, api::RunStreamEvent>* RunStream(
      grpc::CallbackServerContext*) override {
    return new EchoReactor;
  }
};

std::unique_ptr<api::GatewayService::Stub> stub_of(const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return api::GatewayService::NewStub(
      grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments));
}

}  // namespace

struct EchoServer::State {
  EchoService service;
  std::unique_ptr<grpc::Server> server;
  std::string endpoint;
};

EchoServer::EchoServer() : state_(std::make_unique<State>()) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&state_->service);
  state_->server = builder.BuildAndStart();
  state_->endpoint = "127.0.0.1:" + std::to_string(port);
}

EchoServer::~EchoServer() {
  state_->server->Shutdown(std::chrono::system_clock::now());
  state_->server->Wait();
}

const std::string& EchoServer::endpoint() const { return state_->endpoint; }

Samples ping_pong_seconds(const std::string& endpoint, double seconds) {
  auto stub = stub_of(endpoint);
  grpc::ClientContext context;
  auto stream = stub->RunStream(&context);
  api::RunStreamRequest request;
  request.mutable_follow_up()->set_text("ping");
  api::RunStreamEvent event;
  Samples samples;
  const Stopwatch all;
  for (int i = 0; all.seconds() < seconds; ++i) {
    const Stopwatch one;
    if (!stream->Write(request) || !stream->Read(&event)) throw std::runtime_error("echo failed");
    // The first ones open the connection.
    if (i >= 100) samples.add(one.seconds());
  }
  stream->WritesDone();
  (void)stream->Finish();
  return samples;
}

double echo_rate(const std::string& endpoint, double seconds) {
  auto stub = stub_of(endpoint);
  grpc::ClientContext context;
  auto stream = stub->RunStream(&context);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    api::RunStreamRequest request;
    request.mutable_follow_up()->set_text(std::string(64, 'x'));
    while (!stop && stream->Write(request)) {
    }
    stream->WritesDone();
  });
  api::RunStreamEvent event;
  uint64_t count = 0;
  const Stopwatch all;
  while (all.seconds() < seconds && stream->Read(&event)) ++count;
  const double elapsed = all.seconds();
  stop = true;
  while (stream->Read(&event)) {
  }
  writer.join();
  (void)stream->Finish();
  return static_cast<double>(count) / elapsed;
}

}  // namespace palyra::bench
