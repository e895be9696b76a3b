// The main job, end to end: real daemon, real plugins, real gRPC.
#include "tests/e2e/run_client.h"

#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace palyra::e2e {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class RunTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(daemon_.start()) << daemon_.log(); }
  void TearDown() override {
    if (daemon_.running()) {
      EXPECT_EQ(daemon_.stop(), 0) << daemon_.log();
    }
  }

  api::VerifyTapeResponse verify(const std::string& run_id) {
    auto stub = daemon_.gateway();
    grpc::ClientContext context;
    daemon_.authenticate(context);
    api::VerifyTapeRequest request;
    request.set_run_id(run_id);
    api::VerifyTapeResponse response;
    const auto status = stub->VerifyTape(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  grpc::Status decide(const std::string& approval_id, tape::v1::ApprovalVerdict verdict,
                      tape::v1::ApprovalScope scope = tape::v1::APPROVAL_SCOPE_ONCE) {
    auto stub = daemon_.approvals();
    grpc::ClientContext context;
    daemon_.authenticate(context);
    api::ApprovalDecision decision;
    decision.set_approval_id(approval_id);
    decision.set_verdict(verdict);
    decision.set_scope(scope);
    api::Approval approval;
    return stub->DecideApproval(&context, decision, &approval);
  }

  Daemon daemon_;
};

std::string write_call(const std::string& path, const std::string& content) {
  return "/tool fs.write {\"path\": \"" + path + "\", \"expected\": \"absent\", \"content\": \"" +
         content + "\"}";
}

api::RunStreamRequest more(const std::string& text, tape::v1::QueueMode mode) {
  api::RunStreamRequest request;
  request.mutable_follow_up()->set_text(text);
  request.mutable_follow_up()->set_queue_mode(mode);
  return request;
}

TEST_F(RunTest, AMessageSteersARunOnTheSameStream) {
  RunClient client(daemon_);
  ASSERT_TRUE(client.start(write_call("steered.txt", "x")));
  ASSERT_TRUE(client.until([](const auto& event) { return event.has_approval_request(); }));
  const std::string approval = client.event.approval_request().approval_id();
  const std::string run = client.run_id;
  ASSERT_TRUE(client.send(more("/echo steered", tape::v1::QUEUE_MODE_STEER)));
  ASSERT_TRUE(client.until([](const auto& event) { return event.has_input_added(); }));
  EXPECT_EQ(client.event.input_added().text(), "/echo steered");
  ASSERT_TRUE(decide(approval, tape::v1::APPROVAL_VERDICT_ALLOW).ok());
  const auto finished = client.finish();
  ASSERT_TRUE(finished.ok()) << finished.error_message();
  EXPECT_EQ(client.run_id, run);
  EXPECT_EQ(client.status.state(), api::RUN_STATE_COMPLETED);
  EXPECT_EQ(client.status.text(), "steered");
  EXPECT_THAT(client.problems, IsEmpty());
  EXPECT_TRUE(std::filesystem::exists(daemon_.workspace() + "/steered.txt"));
  EXPECT_TRUE(verify(run).ok());
}

TEST(Interrupting, AModelThatSaysNothingMoreAndAKillChangesNothing) {
  const TempDir files;
  DaemonOptions options;
  options.embedded = "script = \"" +
                     files.write("script.yaml",
                                 "steps:\n"
                                 "  - when: {contains: hang}\n"
                                 "    text: I was about to\n"
                                 "    hang: true\n") +
                     "\"";
  Daemon daemon(options);
  ASSERT_TRUE(daemon.start()) << daemon.log();
  RunClient client(daemon);
  ASSERT_TRUE(client.start("please hang"));
  ASSERT_TRUE(client.until([&](const auto&) { return client.text() == "I was about to"; }));
  const std::string run = client.run_id;
  ASSERT_TRUE(client.send(more("/echo interrupted", tape::v1::QUEUE_MODE_INTERRUPT)));
  ASSERT_TRUE(client.until([](const auto& event) { return event.has_input_added(); }));
  const auto finished = client.finish();
  ASSERT_TRUE(finished.ok()) << finished.error_message();
  EXPECT_EQ(client.run_id, run);
  EXPECT_EQ(client.status.text(), "interrupted") << client.status.DebugString();
  EXPECT_EQ(client.texts[1], "I was about to");
  EXPECT_THAT(client.problems, IsEmpty());
  daemon.kill_now();
  ASSERT_TRUE(daemon.start()) << daemon.log();
  RunClient again(daemon);
  ASSERT_TRUE(again.attach(run));
  ASSERT_TRUE(again.finish().ok());
  EXPECT_EQ(again.status.text(), "interrupted");
  EXPECT_EQ(again.texts[1], "I was about to");
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
}

TEST_F(RunTest, AMessageGoesInAndAStreamedDurableAnswerComesOut) {
  RunClient client(daemon_);
  ASSERT_TRUE(client.start("hello"));
  const auto finished = client.finish();
  ASSERT_TRUE(finished.ok()) << finished.error_message();
  EXPECT_EQ(client.status.state(), api::RUN_STATE_COMPLETED) << client.status.DebugString();
  EXPECT_FALSE(client.status.text().empty());
  EXPECT_EQ(client.text(), client.status.text());
  EXPECT_THAT(client.problems, IsEmpty());
  const auto verified = verify(client.run_id);
  EXPECT_TRUE(verified.ok()) << verified.reason();
  EXPECT_EQ(verified.records(), client.finished_seq);
}

TEST_F(RunTest, AReadingToolRunsWithoutAsking) {
  std::ofstream(daemon_.workspace() + "/note.txt") << "the note";
  RunClient client(daemon_);
  ASSERT_TRUE(client.start("/tool fs.read {\"path\": \"note.txt\"}"));
  ASSERT_TRUE(client.until([](const auto& event) { return event.has_tool_result(); }));
  EXPECT_FALSE(client.event.tool_result().is_error());
  EXPECT_THAT(client.event.tool_result().content(), HasSubstr("the note"));
  ASSERT_TRUE(client.finish().ok());
  EXPECT_EQ(client.status.state(), api::RUN_STATE_COMPLETED);
}

TEST_F(RunTest, AWritingToolWaitsForTheApprovalAndThenHappens) {
  RunClient client(daemon_);
  ASSERT_TRUE(client.start(write_call("out.txt", "written")));
  ASSERT_TRUE(client.until([](const auto& event) { return event.has_approval_request(); }));
  const std::string approval = client.event.approval_request().approval_id();
  EXPECT_FALSE(std::filesystem::exists(daemon_.workspace() + "/out.txt"));
  api::RunStreamRequest request;
  request.mutable_approval()->set_approval_id(approval);
  request.mutable_approval()->set_verdict(tape::v1::APPROVAL_VERDICT_ALLOW);
  ASSERT_TRUE(client.send(request));
  ASSERT_TRUE(client.finish().ok());
  EXPECT_EQ(client.status.state(), api::RUN_STATE_COMPLETED) << client.status.DebugString();
  EXPECT_EQ(content_of(daemon_.workspace() + "/out.txt"), "written");
  EXPECT_TRUE(verify(client.run_id).ok());
}

TEST_F(RunTest, ADeniedToolDoesNotHappenAndTheModelIsTold) {
  RunClient client(daemon_);
  ASSERT_TRUE(client.start(write_call("out.txt", "written")));
  ASSERT_TRUE(client.until([](const auto& event) { return event.has_approval_request(); }));
  const std::string approval = client.event.approval_request().approval_id();
  ASSERT_TRUE(decide(approval, tape::v1::APPROVAL_VERDICT_DENY).ok());
  ASSERT_TRUE(client.finish().ok());
  EXPECT_EQ(client.status.state(), api::RUN_STATE_COMPLETED);
  EXPECT_FALSE(std::filesystem::exists(daemon_.workspace() + "/out.txt"));
  const auto again = decide(approval, tape::v1::APPROVAL_VERDICT_ALLOW);
  EXPECT_EQ(again.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << again.error_message();
}

TEST_F(RunTest, AnApprovalForTheSessionHoldsForTheNextCallOfTheRule) {
  RunClient first(daemon_);
  ASSERT_TRUE(first.start(write_call("one.txt", "1")));
  ASSERT_TRUE(first.until([](const auto& event) { return event.has_approval_request(); }));
  ASSERT_TRUE(decide(first.event.approval_request().approval_id(), tape::v1::APPROVAL_VERDICT_ALLOW,
                     tape::v1::APPROVAL_SCOPE_SESSION)
                  .ok());
  ASSERT_TRUE(first.finish().ok());
  RunClient second(daemon_);
  ASSERT_TRUE(second.start(write_call("two.txt", "2"), first.session_id));
  bool asked = false;
  while (second.next()) asked = asked || second.event.has_approval_request();
  EXPECT_FALSE(asked);
  EXPECT_EQ(content_of(daemon_.workspace() + "/two.txt"), "2");
}

TEST_F(RunTest, ARunOutlivesItsClientAndAnotherSeesTheWhole) {
  RunClient first(daemon_);
  ASSERT_TRUE(first.start(write_call("out.txt", "written")));
  ASSERT_TRUE(first.until([](const auto& event) { return event.has_approval_request(); }));
  const std::string approval = first.event.approval_request().approval_id();
  first.disconnect();
  RunClient second(daemon_);
  ASSERT_TRUE(second.attach(first.run_id, &first));
  ASSERT_TRUE(decide(approval, tape::v1::APPROVAL_VERDICT_ALLOW).ok());
  ASSERT_TRUE(second.finish().ok());
  EXPECT_THAT(second.problems, IsEmpty());
  EXPECT_EQ(second.text(), second.status.text());
  RunClient third(daemon_);
  ASSERT_TRUE(third.attach(first.run_id));
  ASSERT_TRUE(third.finish().ok());
  EXPECT_THAT(third.problems, IsEmpty());
  EXPECT_EQ(third.texts, second.texts);
}

TEST_F(RunTest, AWaitingRunSurvivesKillAndRestart) {
  RunClient first(daemon_);
  ASSERT_TRUE(first.start(write_call("out.txt", "written")));
  ASSERT_TRUE(first.until([](const auto& event) { return event.has_approval_request(); }));
  const std::string approval = first.event.approval_request().approval_id();
  daemon_.kill_now();
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  RunClient second(daemon_);
  ASSERT_TRUE(second.attach(first.run_id, &first));
  ASSERT_TRUE(decide(approval, tape::v1::APPROVAL_VERDICT_ALLOW).ok());
  const auto finished = second.finish();
  ASSERT_TRUE(finished.ok()) << finished.error_message();
  EXPECT_THAT(second.problems, IsEmpty());
  EXPECT_EQ(second.status.state(), api::RUN_STATE_COMPLETED);
  EXPECT_EQ(content_of(daemon_.workspace() + "/out.txt"), "written");
  EXPECT_TRUE(verify(first.run_id).ok());
}

TEST_F(RunTest, FollowUpsRunInOrderOnTheSameStreamAndTheNinthIsRefused) {
  RunClient client(daemon_);
  ASSERT_TRUE(client.start(write_call("out.txt", "x")));
  ASSERT_TRUE(client.until([](const auto& event) { return event.has_approval_request(); }));
  const std::string approval = client.event.approval_request().approval_id();
  for (int i = 1; i <= 9; ++i) {
    api::RunStreamRequest request;
    request.mutable_follow_up()->set_text("follow-up " + std::to_string(i));
    ASSERT_TRUE(client.send(request));
  }
  ASSERT_TRUE(client.until([](const auto& event) { return event.has_error(); }));
  EXPECT_EQ(client.event.error().code(), static_cast<int>(grpc::StatusCode::RESOURCE_EXHAUSTED));
  ASSERT_TRUE(decide(approval, tape::v1::APPROVAL_VERDICT_ALLOW).ok());
  int completed = 0;
  while (client.next()) {
    if (client.event.has_status() && client.status.state() == api::RUN_STATE_COMPLETED) ++completed;
  }
  EXPECT_EQ(completed, 9);
  EXPECT_THAT(client.problems, IsEmpty());
}

TEST_F(RunTest, AFollowUpMayComeRightAfterAttaching) {
  RunClient first(daemon_);
  ASSERT_TRUE(first.start(write_call("out.txt", "x")));
  ASSERT_TRUE(first.until([](const auto& event) { return event.has_approval_request(); }));
  const std::string approval = first.event.approval_request().approval_id();
  first.disconnect();
  RunClient second(daemon_);
  ASSERT_TRUE(second.attach(first.run_id, &first));
  api::RunStreamRequest request;
  request.mutable_follow_up()->set_text("and then");
  ASSERT_TRUE(second.send(request));
  ASSERT_TRUE(decide(approval, tape::v1::APPROVAL_VERDICT_ALLOW).ok());
  int completed = 0;
  while (second.next()) {
    EXPECT_FALSE(second.event.has_error()) << second.event.error().message();
    if (second.event.has_status() && second.status.state() == api::RUN_STATE_COMPLETED) ++completed;
  }
  EXPECT_GE(completed, 1);
}

TEST_F(RunTest, StoppingInTheMiddleOfCallsEndsWell) {
  std::atomic<bool> over{false};
  std::atomic<int> answered{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&, stub = std::shared_ptr(daemon_.gateway())] {
      while (!over) {
        grpc::ClientContext context;
        daemon_.authenticate(context);
        api::ListRunsResponse response;
        if (!stub->ListRuns(&context, api::ListRunsRequest(), &response).ok()) break;
        ++answered;
      }
    });
  }
  while (answered < 50) std::this_thread::yield();
  EXPECT_EQ(daemon_.stop(), 0) << daemon_.log();
  over = true;
  for (auto& caller : callers) caller.join();
}

TEST_F(RunTest, CancelEndsARunThatWaits) {
  RunClient client(daemon_);
  ASSERT_TRUE(client.start(write_call("out.txt", "x")));
  ASSERT_TRUE(client.until([](const auto& event) { return event.has_approval_request(); }));
  api::RunStreamRequest request;
  request.mutable_cancel()->set_reason("changed my mind");
  ASSERT_TRUE(client.send(request));
  ASSERT_TRUE(client.finish().ok());
  EXPECT_EQ(client.status.state(), api::RUN_STATE_CANCELLED);
  EXPECT_FALSE(std::filesystem::exists(daemon_.workspace() + "/out.txt"));
}

TEST_F(RunTest, ARoutedMessageIsDurableOnceHoweverOftenItIsSent) {
  auto stub = daemon_.gateway();
  api::RouteMessageRequest request;
  request.set_conversation("room");
  request.set_text("hello");
  request.set_idempotency_key("key-1");
  api::RouteMessageResponse first;
  api::RouteMessageResponse second;
  for (auto* response : {&first, &second}) {
    grpc::ClientContext context;
    daemon_.authenticate(context);
    const auto status = stub->RouteMessage(&context, request, response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  EXPECT_EQ(first.run_id(), second.run_id());
  EXPECT_EQ(first.session_id(), second.session_id());
  EXPECT_GT(first.position(), 0u);
  EXPECT_FALSE(first.duplicate());
  EXPECT_TRUE(second.duplicate());
  grpc::ClientContext context;
  daemon_.authenticate(context);
  api::WaitRunRequest wait;
  wait.set_run_id(first.run_id());
  api::WaitRunResponse waited;
  ASSERT_TRUE(stub->WaitRun(&context, wait, &waited).ok());
  EXPECT_EQ(waited.run().state(), api::RUN_STATE_COMPLETED);
}

TEST_F(RunTest, TheSessionRemembersEarlierTurns) {
  RunClient first(daemon_);
  ASSERT_TRUE(first.start("first message"));
  ASSERT_TRUE(first.finish().ok());
  RunClient second(daemon_);
  ASSERT_TRUE(second.start("second message", first.session_id));
  ASSERT_TRUE(second.until([](const auto& event) { return event.has_context_plan(); }));
  int history = 0;
  for (const auto& segment : second.event.context_plan().segments()) {
    history += segment.kind() == tape::v1::SEGMENT_KIND_HISTORY ? 1 : 0;
  }
  EXPECT_EQ(history, 1);
  ASSERT_TRUE(second.finish().ok());
}

}  // namespace
}  // namespace palyra::e2e
