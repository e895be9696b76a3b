// Messages that come in quick succession, over the real daemon: one turn answers them, and a daemon
// that dies while it waits for more has lost none.
#include "tests/e2e/run_client.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace palyra::e2e {
namespace {

using testing::ElementsAre;

// Long enough for messages one after the other on a slow machine.
constexpr uint32_t kWindowMs = 2'000;

class Room {
 public:
  explicit Room(const Daemon& daemon) : daemon_(daemon), stub_(daemon.gateway()) {}

  api::RouteMessageResponse send(const std::string& text) {
    api::RouteMessageRequest request;
    request.set_conversation("tea");
    request.set_text(text);
    request.set_idempotency_key("key of " + text);
    request.set_coalesce_ms(kWindowMs);
    api::RouteMessageResponse response;
    grpc::ClientContext context;
    daemon_.authenticate(context);
    const auto status = stub_->RouteMessage(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  api::Run run(const std::string& run_id) {
    api::GetRunRequest request;
    request.set_run_id(run_id);
    api::Run run;
    grpc::ClientContext context;
    daemon_.authenticate(context);
    EXPECT_TRUE(stub_->GetRun(&context, request, &run).ok());
    return run;
  }
  api::Run wait(const std::string& run_id) {
    api::WaitRunRequest request;
    request.set_run_id(run_id);
    api::WaitRunResponse response;
    grpc::ClientContext context;
    daemon_.authenticate(context);
    EXPECT_TRUE(stub_->WaitRun(&context, request, &response).ok());
    return response.run();
  }
  // The messages on the run's tape, and how often the model was asked.
  std::vector<std::string> tape(const std::string& run_id) {
    api::ReadTapeRequest request;
    request.set_run_id(run_id);
    api::ReadTapeResponse response;
    grpc::ClientContext context;
    daemon_.authenticate(context);
    EXPECT_TRUE(stub_->ReadTape(&context, request, &response).ok());
    std::vector<std::string> out;
    for (const auto& entry : response.entries()) {
      tape::v1::RunEvent event;
      EXPECT_TRUE(event.ParseFromString(entry.payload()));
      if (event.has_run_created()) out.push_back(event.run_created().input_text());
      if (event.has_input_added()) out.push_back(event.input_added().text());
      if (event.has_model_turn_started()) out.push_back("asked");
    }
    return out;
  }
  uint32_t turns(const std::string& session_id) {
    api::GetSessionRequest request;
    request.set_session_id(session_id);
    api::Session session;
    grpc::ClientContext context;
    daemon_.authenticate(context);
    EXPECT_TRUE(stub_->GetSession(&context, request, &session).ok());
    return session.turns();
  }

 private:
  const Daemon& daemon_;
  std::unique_ptr<api::GatewayService::Stub> stub_;
};

TEST(Coalescer, MessagesInQuickSuccessionAreOneTurn) {
  Daemon daemon;
  ASSERT_TRUE(daemon.start()) << daemon.log();
  Room room(daemon);
  const auto first = room.send("one");
  for (const char* text : {"two", "three", "four"}) {
    const auto joined = room.send(text);
    EXPECT_EQ(joined.run_id(), first.run_id());
    EXPECT_EQ(joined.mode(), tape::v1::QUEUE_MODE_COLLECT);
    EXPECT_GT(joined.position(), 0U);
  }
  EXPECT_TRUE(room.send("two").duplicate());
  EXPECT_EQ(room.run(first.run_id()).state(), api::RUN_STATE_QUEUED) << "it waits for more";
  EXPECT_EQ(room.wait(first.run_id()).state(), api::RUN_STATE_COMPLETED);
  EXPECT_THAT(room.tape(first.run_id()), ElementsAre("one", "two", "three", "four", "asked"));
  EXPECT_EQ(room.turns(first.session_id()), 1U);
  // The window is over: what comes now is the next turn.
  const auto later = room.send("five");
  EXPECT_NE(later.run_id(), first.run_id());
  EXPECT_EQ(later.session_id(), first.session_id());
  EXPECT_EQ(room.wait(later.run_id()).state(), api::RUN_STATE_COMPLETED);
  EXPECT_EQ(room.turns(first.session_id()), 2U);
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
}

TEST(Coalescer, AKillInsideTheWindowLosesNoMessageAndTakesNoneTwice) {
  Daemon daemon;
  ASSERT_TRUE(daemon.start()) << daemon.log();
  std::string run_id;
  std::string session_id;
  {
    Room room(daemon);
    run_id = room.send("one").run_id();
    session_id = room.send("two").session_id();
    EXPECT_EQ(room.send("three").run_id(), run_id);
    ASSERT_EQ(room.run(run_id).state(), api::RUN_STATE_QUEUED);
  }
  daemon.kill_now();
  ASSERT_TRUE(daemon.start()) << daemon.log();
  Room room(daemon);
  // Who was told is told the same again; who was not sends it once more.
  const auto again = room.send("three");
  EXPECT_TRUE(again.duplicate());
  EXPECT_EQ(again.run_id(), run_id);
  EXPECT_EQ(room.wait(run_id).state(), api::RUN_STATE_COMPLETED);
  EXPECT_THAT(room.tape(run_id), ElementsAre("one", "two", "three", "asked"));
  EXPECT_EQ(room.turns(session_id), 1U);
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
}

}  // namespace
}  // namespace palyra::e2e
