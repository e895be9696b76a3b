// What clients get wrong: each mistake gets gRPC's code for it and a sentence that says what to do,
// and what was accepted before goes on.
#include "plugins/common/digest/digest.h"
#include "tests/e2e/run_client.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>

#include <functional>

namespace palyra::e2e {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;

constexpr const char* kNoSuchUlid = "01J9ZC3V5N8K2M4P6R7S9T0W1X";

class BadRequestTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(daemon_.start()) << daemon_.log();
    stub_ = daemon_.gateway();
    RunClient client(daemon_);
    ASSERT_TRUE(client.start("remember me"));
    ASSERT_TRUE(client.finish().ok());
    before_ = client.run_id;
    session_ = client.session_id;
    waiting_ = std::make_unique<RunClient>(daemon_);
    ASSERT_TRUE(
        waiting_->start("/tool fs.write {\"path\": \"out.txt\", \"expected\": "
                        "\"absent\", \"content\": \"x\"}"));
    ASSERT_TRUE(waiting_->until([](const auto& event) { return event.has_approval_request(); }));
    approval_ = waiting_->event.approval_request().approval_id();
  }

  // Whatever went wrong: the run before it verifies, the one in flight can be finished.
  void TearDown() override {
    api::VerifyTapeRequest verify;
    verify.set_run_id(before_);
    api::VerifyTapeResponse verified;
    const auto status = ask(&api::GatewayService::Stub::VerifyTape, verify, &verified);
    EXPECT_TRUE(status.ok() && verified.ok()) << status.error_message() << verified.reason();
    api::RunStreamRequest request;
    request.mutable_approval()->set_approval_id(approval_);
    request.mutable_approval()->set_verdict(tape::v1::APPROVAL_VERDICT_ALLOW);
    EXPECT_TRUE(waiting_->send(request));
    EXPECT_TRUE(waiting_->finish().ok());
    EXPECT_EQ(waiting_->status.state(), api::RUN_STATE_COMPLETED);
    EXPECT_TRUE(waiting_->problems.empty());
    EXPECT_EQ(daemon_.stop(), 0) << daemon_.log();
  }

  template <typename Request, typename Response>
  grpc::Status ask(grpc::Status (api::GatewayService::Stub::*method)(grpc::ClientContext*,
                                                                     const Request&, Response*),
                   const Request& request, Response* response) {
    grpc::ClientContext context;
    daemon_.authenticate(context);
    return ((*stub_).*method)(&context, request, response);
  }
  // GetRun with these headers and no others.
  grpc::Status with_headers(const std::vector<std::pair<std::string, std::string>>& headers) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
    for (const auto& [name, value] : headers) context.AddMetadata(name, value);
    api::GetRunRequest request;
    request.set_run_id(before_);
    api::Run run;
    return stub_->GetRun(&context, request, &run);
  }
  // A whole RunStream of one message.
  grpc::Status stream(const api::RunStreamRequest& request) {
    RunClient client(daemon_);
    (void)client.send(request);
    return client.finish();
  }
  grpc::Status start(const std::function<void(api::RunStart&)>& fill) {
    api::RunStreamRequest request;
    request.mutable_start()->set_text("hello");
    fill(*request.mutable_start());
    return stream(request);
  }
  grpc::Status decide(const api::ApprovalDecision& decision) {
    auto stub = daemon_.approvals();
    grpc::ClientContext context;
    daemon_.authenticate(context);
    api::Approval approval;
    return stub->DecideApproval(&context, decision, &approval);
  }

  Daemon daemon_;
  std::unique_ptr<api::GatewayService::Stub> stub_;
  std::unique_ptr<RunClient> waiting_;
  std::string before_;
  std::string session_;
  std::string approval_;
};

void expect(const grpc::Status& status, StatusCode code, const std::string& sentence) {
  EXPECT_EQ(status.error_code(), code) << status.error_message();
  EXPECT_THAT(status.error_message(), HasSubstr(sentence));
}

TEST_F(BadRequestTest, AStreamThatBeginsOtherwiseThanByStartOrAttach) {
  api::RunStreamRequest request;
  request.mutable_follow_up()->set_text("and then?");
  expect(stream(request), StatusCode::INVALID_ARGUMENT, "is start or attach");
  expect(stream(api::RunStreamRequest()), StatusCode::INVALID_ARGUMENT, "is start or attach");
}

TEST_F(BadRequestTest, ASecondStartEndsTheStreamAndTheRunGoesOn) {
  RunClient client(daemon_);
  ASSERT_TRUE(client.attach(waiting_->run_id));
  ASSERT_TRUE(client.until([](const auto& event) { return event.has_approval_request(); }));
  ASSERT_TRUE(client.start("one more"));
  const auto ended = client.finish();
  expect(ended, StatusCode::INVALID_ARGUMENT, "already follows run " + waiting_->run_id);
  EXPECT_THAT(ended.error_message(), HasSubstr("open another stream (the run goes on)"));
}

TEST_F(BadRequestTest, IdsThatAreNoUlids) {
  api::GetRunRequest get;
  api::Run run;
  for (const char* id : {"", "7", "01J9ZC3V5N8K2M4P6R7S9T0W1Xx", "81J9ZC3V5N8K2M4P6R7S9T0W1X",
                         "../../etc/passwd", "01j9zc3v5n8k2m4p6r7s9t0w1x"}) {
    get.set_run_id(id);
    expect(ask(&api::GatewayService::Stub::GetRun, get, &run), StatusCode::INVALID_ARGUMENT,
           "run_id must be a ULID");
  }
  expect(start([](auto& input) { input.set_session_id("mine"); }), StatusCode::INVALID_ARGUMENT,
         "session_id must be a ULID");
  api::RunStreamRequest attach;
  attach.mutable_attach()->set_run_id("nothing");
  expect(stream(attach), StatusCode::INVALID_ARGUMENT, "run_id must be a ULID");
}

TEST_F(BadRequestTest, WhatDoesNotExist) {
  expect(start([](auto& input) { input.set_session_id(kNoSuchUlid); }), StatusCode::NOT_FOUND,
         kNoSuchUlid);
  expect(start([](auto& input) { input.set_agent_id("nobody"); }), StatusCode::NOT_FOUND, "nobody");
  api::GetRunRequest get;
  get.set_run_id(kNoSuchUlid);
  api::Run run;
  expect(ask(&api::GatewayService::Stub::GetRun, get, &run), StatusCode::NOT_FOUND, kNoSuchUlid);
  api::ReadTapeRequest tape;
  tape.set_run_id(kNoSuchUlid);
  api::ReadTapeResponse page;
  EXPECT_EQ(ask(&api::GatewayService::Stub::ReadTape, tape, &page).error_code(),
            StatusCode::NOT_FOUND);
  api::GetAgentRequest agent;
  agent.set_agent_id("nobody");
  api::Agent found;
  expect(ask(&api::GatewayService::Stub::GetAgent, agent, &found), StatusCode::NOT_FOUND, "nobody");
}

TEST_F(BadRequestTest, AModelOfAProviderThatIsNotThereIsRefused) {
  expect(start([](auto& input) { input.set_model("nobody/gpt"); }), StatusCode::NOT_FOUND,
         "nobody");
}

// Only the provider knows its models: the run is accepted, then fails with the reason on the tape.
TEST_F(BadRequestTest, AModelThatItsProviderDoesNotHaveFailsTheRunWithTheReason) {
  RunClient client(daemon_);
  api::RunStreamRequest request;
  request.mutable_start()->set_text("hello");
  request.mutable_start()->set_model("embedded/no-such-model");
  ASSERT_TRUE(client.send(request));
  const auto ended = client.finish();
  EXPECT_TRUE(ended.ok()) << ended.error_message();
  EXPECT_EQ(client.status.state(), api::RUN_STATE_FAILED);
  EXPECT_THAT(client.status.failure().message(), HasSubstr("no-such-model"));
}

TEST_F(BadRequestTest, AMessageOverFourMegabytesIsRefusedAndTheConnectionStays) {
  expect(start([](auto& input) { input.set_text(std::string(5 << 20, 'x')); }),
         StatusCode::RESOURCE_EXHAUSTED, "");
  api::RouteMessageRequest route;
  route.set_text(std::string(5 << 20, 'x'));
  api::RouteMessageResponse routed;
  expect(ask(&api::GatewayService::Stub::RouteMessage, route, &routed),
         StatusCode::RESOURCE_EXHAUSTED, "");
  expect(start([](auto& input) { input.set_text(std::string((1 << 20) + 1, 'x')); }),
         StatusCode::INVALID_ARGUMENT, "text has 1048577 bytes; 1 to 1048576 are allowed");
}

TEST_F(BadRequestTest, TokensThatAreNone) {
  expect(with_headers({}), StatusCode::UNAUTHENTICATED, "no token; send");
  const std::vector<std::string> tokens = {
      "", "wrong", daemon_.token() + "x", daemon_.token().substr(1),
      // What the store keeps is not a credential.
      digest::to_hex(digest::sha256(daemon_.token())), std::string(4000, 'a')};
  for (const std::string& token : tokens) {
    expect(with_headers({{"authorization", "Bearer " + token}}), StatusCode::UNAUTHENTICATED,
           "the token is not valid; check it");
  }
  expect(with_headers({{"authorization", "Basic " + daemon_.token()}}), StatusCode::UNAUTHENTICATED,
         "the token is not valid");
  EXPECT_TRUE(with_headers({{"authorization", "Bearer " + daemon_.token()}}).ok());
}

TEST_F(BadRequestTest, GuessingTokensIsSlowedDownForTheGuesserOnly) {
  grpc::Status last;
  for (int i = 0; i < 1000 && last.error_code() != StatusCode::RESOURCE_EXHAUSTED; ++i) {
    last = with_headers({{"authorization", "Bearer guess-" + std::to_string(i)}});
  }
  expect(last, StatusCode::RESOURCE_EXHAUSTED, "too many failed authentications");
  EXPECT_THAT(last.error_message(), HasSubstr("try again in"));
  EXPECT_TRUE(with_headers({{"authorization", "Bearer " + daemon_.token()}}).ok());
}

TEST_F(BadRequestTest, HeadersThatDisagreeWithTheToken) {
  const std::pair<std::string, std::string> token = {"authorization", "Bearer " + daemon_.token()};
  expect(with_headers({token, {"x-palyra-principal", "user:somebody-else"}}),
         StatusCode::PERMISSION_DENIED, "x-palyra-principal disagrees with the token");
  expect(with_headers({token, {"x-palyra-device-id", "laptop"}}), StatusCode::PERMISSION_DENIED,
         "x-palyra-device-id is not a ULID");
  expect(with_headers({token, {"x-palyra-device-id", kNoSuchUlid}}), StatusCode::PERMISSION_DENIED,
         "leave the header out");
}

TEST_F(BadRequestTest, AttachingBeyondTheEnd) {
  api::RunStreamRequest request;
  request.mutable_attach()->set_run_id(before_);
  request.mutable_attach()->set_from_seq(1'000'000);
  expect(stream(request), StatusCode::OUT_OF_RANGE, "is beyond the tape of run " + before_);
}

TEST_F(BadRequestTest, ApprovalsThatAreUnknownOrDecided) {
  api::ApprovalDecision decision;
  decision.set_verdict(tape::v1::APPROVAL_VERDICT_ALLOW);
  decision.set_approval_id("x");
  expect(decide(decision), StatusCode::INVALID_ARGUMENT, "approval_id must be a ULID");
  decision.set_approval_id(kNoSuchUlid);
  expect(decide(decision), StatusCode::NOT_FOUND, kNoSuchUlid);
  decision.set_approval_id(approval_);
  decision.set_verdict(tape::v1::APPROVAL_VERDICT_UNSPECIFIED);
  expect(decide(decision), StatusCode::INVALID_ARGUMENT, "verdict must be allow or deny");
  decision.set_verdict(tape::v1::APPROVAL_VERDICT_ALLOW);
  decision.set_scope(tape::v1::APPROVAL_SCOPE_TIMEBOXED);
  decision.set_seconds(100'000);
  expect(decide(decision), StatusCode::INVALID_ARGUMENT, "seconds must be 1 to 86400");

  RunClient other(daemon_);
  ASSERT_TRUE(
      other.start("/tool fs.write {\"path\": \"two.txt\", \"expected\": \"absent\", "
                  "\"content\": \"x\"}"));
  ASSERT_TRUE(other.until([](const auto& event) { return event.has_approval_request(); }));
  api::ApprovalDecision denied;
  denied.set_approval_id(other.event.approval_request().approval_id());
  denied.set_verdict(tape::v1::APPROVAL_VERDICT_DENY);
  ASSERT_TRUE(decide(denied).ok());
  denied.set_verdict(tape::v1::APPROVAL_VERDICT_ALLOW);
  expect(decide(denied), StatusCode::FAILED_PRECONDITION, "was decided already");
  ASSERT_TRUE(other.finish().ok());
}

TEST_F(BadRequestTest, AMistakeOnAStreamIsAnsweredOnItAndItGoesOn) {
  RunClient client(daemon_);
  ASSERT_TRUE(client.attach(waiting_->run_id));
  ASSERT_TRUE(client.until([](const auto& event) { return event.has_approval_request(); }));
  api::RunStreamRequest request;
  request.mutable_approval()->set_approval_id(kNoSuchUlid);
  request.mutable_approval()->set_verdict(tape::v1::APPROVAL_VERDICT_ALLOW);
  ASSERT_TRUE(client.send(request));
  ASSERT_TRUE(client.until([](const auto& event) { return event.has_error(); }));
  EXPECT_EQ(client.event.error().code(), StatusCode::NOT_FOUND);
  request.mutable_follow_up()->set_text("");
  ASSERT_TRUE(client.send(request));
  ASSERT_TRUE(client.until([](const auto& event) { return event.has_error(); }));
  EXPECT_EQ(client.event.error().code(), StatusCode::INVALID_ARGUMENT);
  client.disconnect();
}

TEST_F(BadRequestTest, TextsThatAreEmptyOrNoText) {
  expect(start([](auto& input) { input.set_text(""); }), StatusCode::INVALID_ARGUMENT,
         "text has 0 bytes");
  expect(start([](auto& input) { input.set_text(std::string("a\0b", 3)); }),
         StatusCode::INVALID_ARGUMENT, "text must be UTF-8 without NUL");
  // protobuf refuses it before anybody can say more.
  EXPECT_FALSE(start([](auto& input) { input.set_text("\xff\xfe"); }).ok());
  api::RouteMessageRequest route;
  route.set_text("\xff\xfe");
  api::RouteMessageResponse routed;
  EXPECT_FALSE(ask(&api::GatewayService::Stub::RouteMessage, route, &routed).ok());
}

TEST_F(BadRequestTest, NumbersOutOfRange) {
  expect(start([](auto& input) { input.mutable_limits()->set_max_running_ms(-1); }),
         StatusCode::INVALID_ARGUMENT, "limits must not be negative");
  expect(start([](auto& input) { input.set_idempotency_key(std::string(129, 'k')); }),
         StatusCode::INVALID_ARGUMENT, "idempotency_key has 129 bytes");
  expect(start([](auto& input) { input.set_response_schema_json("{\"type\": 7"); }),
         StatusCode::INVALID_ARGUMENT, "response_schema_json");
  api::ListRunsRequest list;
  list.set_page_size(501);
  api::ListRunsResponse listed;
  expect(ask(&api::GatewayService::Stub::ListRuns, list, &listed), StatusCode::INVALID_ARGUMENT,
         "at most 500");
  list.set_page_size(5);
  list.set_page_token("zz");
  expect(ask(&api::GatewayService::Stub::ListRuns, list, &listed), StatusCode::INVALID_ARGUMENT,
         "page_token is not one that this server gave");
  api::ReadTapeRequest tape;
  tape.set_run_id(before_);
  tape.set_limit(1001);
  api::ReadTapeResponse page;
  EXPECT_EQ(ask(&api::GatewayService::Stub::ReadTape, tape, &page).error_code(),
            StatusCode::INVALID_ARGUMENT);
  api::WaitRunRequest wait;
  wait.set_run_id(before_);
  wait.set_timeout_ms(-1);
  api::WaitRunResponse waited;
  expect(ask(&api::GatewayService::Stub::WaitRun, wait, &waited), StatusCode::INVALID_ARGUMENT,
         "timeout_ms must be 0 to 300000");
  api::RenameSessionRequest rename;
  rename.set_session_id(session_);
  api::Session renamed;
  EXPECT_EQ(ask(&api::GatewayService::Stub::RenameSession, rename, &renamed).error_code(),
            StatusCode::INVALID_ARGUMENT);
}

TEST_F(BadRequestTest, WaitingForARunThatDoesNotEndSaysSo) {
  api::WaitRunRequest wait;
  wait.set_run_id(waiting_->run_id);
  wait.set_timeout_ms(1);
  api::WaitRunResponse waited;
  ASSERT_TRUE(ask(&api::GatewayService::Stub::WaitRun, wait, &waited).ok());
  EXPECT_TRUE(waited.timed_out());
  EXPECT_EQ(waited.run().run_id(), waiting_->run_id);
  wait.set_until_waiting(true);
  wait.set_timeout_ms(60'000);
  ASSERT_TRUE(ask(&api::GatewayService::Stub::WaitRun, wait, &waited).ok());
  EXPECT_EQ(waited.run().state(), api::RUN_STATE_WAITING);
  EXPECT_FALSE(waited.timed_out());
}

TEST_F(BadRequestTest, CancellingWhatHasEndedChangesNothing) {
  api::CancelRunRequest cancel;
  cancel.set_run_id(before_);
  api::CancelRunResponse cancelled;
  ASSERT_TRUE(ask(&api::GatewayService::Stub::CancelRun, cancel, &cancelled).ok());
  EXPECT_EQ(cancelled.state(), api::RUN_STATE_COMPLETED);
  cancel.set_run_id(kNoSuchUlid);
  expect(ask(&api::GatewayService::Stub::CancelRun, cancel, &cancelled), StatusCode::NOT_FOUND,
         kNoSuchUlid);
}

// One message in, one out, as bytes.
std::string raw_call(const Daemon& daemon, const std::string& method, const std::string& request) {
  grpc::GenericStub stub(daemon.channel());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
  grpc::CompletionQueue queue;
  auto call = stub.PrepareCall(&context, method, &queue);
  const auto done = [&] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  if (!done()) return "";
  const grpc::Slice slice(request);
  call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  if (!done()) return "";
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  if (!done()) return "";
  call->WritesDone(nullptr);
  (void)done();
  grpc::Status status;
  call->Finish(&status, nullptr);
  (void)done();
  EXPECT_TRUE(status.ok()) << status.error_message();
  std::vector<grpc::Slice> slices;
  (void)answer.Dump(&slices);
  std::string bytes;
  for (const grpc::Slice& part : slices) {
    bytes.append(reinterpret_cast<const char*>(part.begin()), part.size());
  }
  return bytes;
}

TEST_F(BadRequestTest, HealthAndReflectionAnswerWithoutAToken) {
  EXPECT_EQ(raw_call(daemon_, "/grpc.health.v1.Health/Check", ""), "\x08\x01") << "SERVING";
  EXPECT_THAT(raw_call(daemon_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                       std::string("\x3a\x01*")),
              testing::AllOf(HasSubstr("palyra.gateway.v1.GatewayService"),
                             HasSubstr("palyra.gateway.v1.AdminService"),
                             HasSubstr("grpc.health.v1.Health")));
}

}  // namespace
}  // namespace palyra::e2e
