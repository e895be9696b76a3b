// The connection to the daemon and the few ways in which answers are printed.
#pragma once

#include "clients/cli/exit_codes.h"
#include "clients/cli/settings.h"
#include "palyra/gateway/v1/admin.grpc.pb.h"
#include "palyra/gateway/v1/approvals.grpc.pb.h"
#include "palyra/gateway/v1/gateway.grpc.pb.h"
#include "palyra/gateway/v1/sessions.grpc.pb.h"

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>

namespace palyra::cli {

namespace api = palyra::gateway::v1;

// proto3 JSON with the schema's field names; `pretty` over several lines.
std::string to_json(const google::protobuf::Message& message, bool pretty);

class Connection;

// One question of WaitRun, also answered when its time is over. The daemon may say so at once of a
// run that it does not drive: this takes a moment even then, so that it can be asked in a loop.
grpc::Status ask_run(Connection& connection, grpc::ClientContext& context,
                     const api::WaitRunRequest& request, api::WaitRunResponse* response);

// "palyra: <sentence>" on standard error; returns `code`.
int complain(const std::string& sentence, int code);

class Connection {
 public:
  explicit Connection(const GlobalOptions& options);

  // kExitOk, or the exit code after saying why there is nothing to talk to.
  int find_daemon();

  // Headers and a deadline in seconds (0 = none).
  std::unique_ptr<grpc::ClientContext> context(int seconds = 30) const;
  // What went wrong and what to do; never empty.
  std::string sentence(const grpc::Status& status) const;
  // Says it; the exit code.
  int explain(const grpc::Status& status) const;

  api::GatewayService::Stub& gateway();
  api::SessionService::Stub& sessions();
  api::ApprovalsService::Stub& approvals();
  api::AdminService::Stub& admin();
  // For services with a stub of their own.
  std::shared_ptr<grpc::Channel> channel();
  // Of any other service.
  template <typename Service>
  std::unique_ptr<typename Service::Stub> stub() {
    return Service::NewStub(channel());
  }
  const std::string& endpoint() const { return endpoint_; }
  const GlobalOptions& options() const { return options_; }

 private:
  const GlobalOptions& options_;
  std::string endpoint_;
  std::string token_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<api::GatewayService::Stub> gateway_;
  std::unique_ptr<api::SessionService::Stub> sessions_;
  std::unique_ptr<api::ApprovalsService::Stub> approvals_;
  std::unique_ptr<api::AdminService::Stub> admin_;
};

// One unary call and its answer: JSON as asked for, else `text`.
template <typename Service, typename Request, typename Response>
int call_and_print(Connection& connection, Service& stub,
                   grpc::Status (Service::*method)(grpc::ClientContext*, const Request&, Response*),
                   const Request& request, const std::function<int(const Response&)>& text) {
  auto context = connection.context();
  Response response;
  const grpc::Status status = (stub.*method)(context.get(), request, &response);
  if (!status.ok()) return connection.explain(status);
  if (connection.options().output == Output::kText) return text(response);
  std::printf("%s\n", to_json(response, connection.options().output == Output::kJson).c_str());
  return kExitOk;
}

// The same for a list that comes whole: with ndjson one element a line.
template <typename Element, typename Service, typename Request, typename Response>
int call_and_list(Connection& connection, Service& stub,
                  grpc::Status (Service::*method)(grpc::ClientContext*, const Request&, Response*),
                  const Request& request,
                  const google::protobuf::RepeatedPtrField<Element>& (Response::*elements)() const,
                  const std::function<int(const Response&)>& text) {
  if (connection.options().output != Output::kNdjson) {
    return call_and_print<Service, Request, Response>(connection, stub, method, request, text);
  }
  auto context = connection.context();
  Response response;
  const grpc::Status status = (stub.*method)(context.get(), request, &response);
  if (!status.ok()) return connection.explain(status);
  for (const Element& element : (response.*elements)()) {
    std::printf("%s\n", to_json(element, false).c_str());
  }
  return kExitOk;
}

// Follows next_page_token until the list ends or has `limit` elements; ndjson prints one element a
// line, json one array.
template <typename Element, typename Service, typename Request, typename Response>
int list_and_print(
    Connection& connection, Service& stub,
    grpc::Status (Service::*method)(grpc::ClientContext*, const Request&, Response*),
    Request request, int limit,
    const std::function<const google::protobuf::RepeatedPtrField<Element>&(const Response&)>&
        elements,
    const std::function<void(const Element&)>& row, const std::function<void(bool more)>& finish) {
  const Output output = connection.options().output;
  int printed = 0;
  bool more = false;
  do {
    auto context = connection.context();
    Response response;
    request.set_page_size(static_cast<uint32_t>(std::min(limit - printed, 500)));
    const grpc::Status status = (stub.*method)(context.get(), request, &response);
    if (!status.ok()) return connection.explain(status);
    if (output == Output::kJson && request.page_token().empty()) std::printf("[");
    more = !response.next_page_token().empty();
    for (const Element& element : elements(response)) {
      if (printed == limit) {
        more = true;
        break;
      }
      if (output == Output::kText) {
        row(element);
      } else {
        if (output == Output::kJson && printed > 0) std::printf(",");
        std::printf("%s\n", to_json(element, output == Output::kJson).c_str());
      }
      ++printed;
    }
    request.set_page_token(response.next_page_token());
  } while (more && printed < limit);
  if (output == Output::kJson) std::printf("]\n");
  if (output == Output::kText) finish(more);
  return kExitOk;
}

}  // namespace palyra::cli
