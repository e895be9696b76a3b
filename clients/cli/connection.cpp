#include "clients/cli/connection.h"

#include "clients/cli/terminal.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace palyra::cli {

std::string to_json(const google::protobuf::Message& message, bool pretty) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.add_whitespace = pretty;
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(message, &json, options);
  while (!json.empty() && json.back() == '\n') json.pop_back();
  return json;
}

grpc::Status ask_run(Connection& connection, grpc::ClientContext& context,
                     const api::WaitRunRequest& request, api::WaitRunResponse* response) {
  constexpr std::chrono::milliseconds kMoment(200);
  const auto begin = std::chrono::steady_clock::now();
  const auto status = connection.gateway().WaitRun(&context, request, response);
  const std::chrono::milliseconds asked(request.timeout_ms());
  if (status.ok() && response->timed_out()) {
    std::this_thread::sleep_until(begin + std::min(asked, kMoment));
  }
  return status;
}

int complain(const std::string& sentence, int code) {
  Progress::make_room();
  std::fflush(stdout);
  std::fprintf(stderr, "%s %s\n", styled(Style::kRed, "palyra:", 2).c_str(),
               printable(sentence).c_str());
  return code;
}

Connection::Connection(const GlobalOptions& options) : options_(options) {}

int Connection::find_daemon() {
  if (options_.state_dir.empty() && options_.endpoint.empty()) {
    // Otherwise a mistyped --config would lead to the daemon of another one.
    const std::string problem = config_problem(options_);
    if (!problem.empty()) return complain(problem, kExitConfig);
  }
  const std::string state_dir = find_state_dir(options_);
  endpoint_ = options_.endpoint;
  if (endpoint_.empty()) {
    const std::string path = endpoint_file(state_dir);
    const auto file = read_small_file(path);
    if (!file && errno == EACCES) {
      return complain("this user may not read " + path +
                          "; run as the daemon's user, or use --endpoint and PALYRA_TOKEN",
                      kExitNoPermission);
    }
    if (!file || file->empty()) {
      return complain(
          "no daemon is running here (" + state_dir + "); start it with: palyra daemon start",
          kExitUnavailable);
    }
    endpoint_ = *file;
  }
  if (!is_loopback_endpoint(endpoint_)) {
    return complain("the endpoint " + endpoint_ +
                        " is not on this machine and there is no TLS, so the token would be "
                        "sent in clear; use an SSH tunnel and --endpoint 127.0.0.1:PORT",
                    kExitUsage);
  }
  token_ = options_.token;
  if (token_.empty()) token_ = read_small_file(token_file(state_dir)).value_or("");
  return kExitOk;
}

std::shared_ptr<grpc::Channel> Connection::channel() {
  if (!channel_) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(4 << 20);
    // A daemon that is gone is said at once rather than waited for.
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    channel_ = grpc::CreateCustomChannel(endpoint_, grpc::InsecureChannelCredentials(), arguments);
  }
  return channel_;
}

std::unique_ptr<grpc::ClientContext> Connection::context(int seconds) const {
  auto context = std::make_unique<grpc::ClientContext>();
  if (!token_.empty()) context->AddMetadata("authorization", "Bearer " + token_);
  context->AddMetadata("x-palyra-channel", "cli");
  if (seconds > 0) {
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(seconds));
  }
  return context;
}

// gRPC's own words for a connection that failed; the daemon's say what to do.
bool of_transport(const std::string& words) {
  for (const char* sign :
       {"onnect", "ocket", "recvmsg", "GOAWAY", "ndpoint closing", "tream removed", "ransport"}) {
    if (words.find(sign) != std::string::npos) return true;
  }
  return words.empty();
}

int Connection::explain(const grpc::Status& status) const {
  return status.ok() ? static_cast<int>(kExitOk) : complain(sentence(status), exit_code(status));
}

std::string Connection::sentence(const grpc::Status& status) const {
  std::string words = status.error_message();
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE && of_transport(words)) {
    words = "no daemon answers at " + endpoint_ + "; start it with: palyra daemon start";
  } else if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED && token_.empty()) {
    words = "no token: " + token_file(find_state_dir(options_)) +
            " cannot be read by this user; run as the daemon's user or set PALYRA_TOKEN";
  } else if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED && words.empty()) {
    words = "the daemon at " + endpoint_ + " did not answer in time; see: palyra daemon logs";
  } else if (words.empty()) {
    words = "the call failed without a reason (gRPC status " + std::to_string(status.error_code()) +
            "); see: palyra daemon logs";
  }
  return words;
}

api::GatewayService::Stub& Connection::gateway() {
  if (!gateway_) gateway_ = api::GatewayService::NewStub(channel());
  return *gateway_;
}

api::SessionService::Stub& Connection::sessions() {
  if (!sessions_) sessions_ = api::SessionService::NewStub(channel());
  return *sessions_;
}

api::ApprovalsService::Stub& Connection::approvals() {
  if (!approvals_) approvals_ = api::ApprovalsService::NewStub(channel());
  return *approvals_;
}

api::AdminService::Stub& Connection::admin() {
  if (!admin_) admin_ = api::AdminService::NewStub(channel());
  return *admin_;
}

}  // namespace palyra::cli
