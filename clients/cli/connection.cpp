#include "clients/cli/connection.h"

#include "clients/cli/terminal.h"

#include <google/protobuf/util/json_util.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

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

int complain(const std::string& sentence, int code) {
  std::fprintf(stderr, "%s %s\n", styled(Style::kRed, "palyra:", 2).c_str(),
               printable(sentence).c_str());
  return code;
}

Connection::Connection(const GlobalOptions& options) : options_(options) {}

bool Connection::find_daemon() {
  const std::string state_dir = find_state_dir(options_);
  endpoint_ = options_.endpoint;
  if (endpoint_.empty()) {
    const auto file = read_small_file(endpoint_file(state_dir));
    if (!file || file->empty()) {
      complain("no daemon is running here (" + state_dir + "); start it with: palyra daemon start",
               kExitUnavailable);
      return false;
    }
    endpoint_ = *file;
  }
  token_ = options_.token;
  if (token_.empty()) token_ = read_small_file(token_file(state_dir)).value_or("");
  return true;
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

int Connection::explain(const grpc::Status& status) const {
  if (status.ok()) return kExitOk;
  std::string sentence = status.error_message();
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE &&
      sentence.find("daemon") == std::string::npos) {
    sentence = "no daemon answers at " + endpoint_ + "; start it with: palyra daemon start";
  } else if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED && token_.empty()) {
    sentence = "no token: " + token_file(find_state_dir(options_)) +
               " cannot be read by this user; run as the daemon's user or set PALYRA_TOKEN";
  } else if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED && sentence.empty()) {
    sentence = "the daemon at " + endpoint_ + " did not answer in time; see: palyra daemon logs";
  }
  return complain(sentence, exit_code(status));
}

api::GatewayService::Stub& Connection::gateway() {
  if (!gateway_) gateway_ = api::GatewayService::NewStub(channel());
  return *gateway_;
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
