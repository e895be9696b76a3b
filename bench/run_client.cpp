#include "bench/run_client.h"

#include "bench/clock.h"

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <unistd.h>

namespace palyra::bench {

namespace {

namespace api = palyra::gateway::v1;

api::RunStreamRequest start_request(const std::string& text, const std::string& session,
                                    const std::string& agent = "") {
  api::RunStreamRequest request;
  request.mutable_start()->set_text(text);
  request.mutable_start()->set_session_id(session);
  request.mutable_start()->set_agent_id(agent);
  return request;
}

// What the clients of one run_many() share.
struct Crowd {
  std::unique_ptr<api::GatewayService::Stub> stub;
  std::string bearer;
  std::string text;
  uint64_t runs_per_session = 0;
  std::function<bool(uint64_t)> another;
  std::atomic<uint64_t> runs{0};
  std::mutex mutex;
  std::condition_variable changed;
  int open = 0;
  std::string error;
};

// One run of one client; the next is another of these.
class Client : public grpc::ClientBidiReactor<api::RunStreamRequest, api::RunStreamEvent> {
 public:
  Client(Crowd& crowd, std::string session, uint64_t runs)
      : crowd_(crowd), session_(std::move(session)), runs_(runs) {
    context_.AddMetadata("authorization", crowd.bearer);
    request_ = start_request(crowd.text, session_);
  }
  void begin() {
    crowd_.stub->async()->RunStream(&context_, this);
    StartWrite(&request_);
    StartRead(&event_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (session_.empty()) session_ = event_.session_id();
    StartRead(&event_);
  }
  void OnDone(const grpc::Status& status) override {
    const std::unique_ptr<Client> self(this);
    const uint64_t all = ++crowd_.runs;
    ++runs_;
    if (status.ok() && crowd_.another(all)) {
      const bool fresh = crowd_.runs_per_session != 0 && runs_ % crowd_.runs_per_session == 0;
      return (new Client(crowd_, fresh ? std::string() : session_, runs_))->begin();
    }
    const std::lock_guard lock(crowd_.mutex);
    if (!status.ok()) crowd_.error = status.error_message();
    --crowd_.open;
    crowd_.changed.notify_all();
  }

 private:
  Crowd& crowd_;
  grpc::ClientContext context_;
  api::RunStreamRequest request_;
  api::RunStreamEvent event_;
  std::string session_;
  uint64_t runs_;
};

}  // namespace

e2e::DaemonOptions unhindered() {
  e2e::DaemonOptions options;
  options.model = "embedded/bench";
  options.gateway =
      "[gateway.rate_limit]\nrequests_per_second = 1e6\nburst = 1e6\n"
      "[gateway.limits]\nmax_output_tokens = 10000000\n";
  return options;
}

void start(e2e::Daemon& daemon) {
  if (!daemon.start()) throw std::runtime_error("the daemon did not start:\n" + daemon.log());
}

RunEnds run_once(e2e::Daemon& daemon, const std::string& text, const std::string& session,
                 const std::string& agent) {
  auto stub = daemon.gateway();
  grpc::ClientContext context;
  daemon.authenticate(context);
  RunEnds ends;
  const Stopwatch watch;
  auto stream = stub->RunStream(&context);
  stream->Write(start_request(text, session, agent));
  api::RunStreamEvent event;
  while (stream->Read(&event)) {
    if (ends.first_token_seconds == 0 && event.has_model_delta()) {
      ends.first_token_seconds = watch.seconds();
    }
    ends.session_id = event.session_id();
    ends.run_id = event.run_id();
  }
  const auto status = stream->Finish();
  if (!status.ok() || ends.first_token_seconds == 0) {
    throw std::runtime_error("a run failed: " + status.error_message());
  }
  return ends;
}

uint64_t run_many(e2e::Daemon& daemon, int clients, const std::string& text,
                  uint64_t runs_per_session, const std::function<bool(uint64_t)>& another) {
  Crowd crowd;
  crowd.stub = daemon.gateway();
  crowd.bearer = "Bearer " + daemon.token();
  crowd.text = text;
  crowd.runs_per_session = runs_per_session;
  crowd.another = another;
  crowd.open = clients;
  for (int i = 0; i < clients; ++i) (new Client(crowd, "", 0))->begin();
  std::unique_lock lock(crowd.mutex);
  crowd.changed.wait(lock, [&] { return crowd.open == 0; });
  if (!crowd.error.empty()) throw std::runtime_error("a run failed: " + crowd.error);
  return crowd.runs;
}

double processor_seconds(const std::string& process) {
  std::ifstream file("/proc/" + process + "/stat");
  std::string line;
  std::getline(file, line);
  std::istringstream fields(line.substr(line.rfind(')') + 2));
  std::string skipped;
  double user = 0;
  double system = 0;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace palyra::bench
