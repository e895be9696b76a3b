// Rapid messages of one conversation become one run.
#include "plugins/gateway/session/testing.h"

#include <gmock/gmock.h>

#include <cstdlib>

namespace palyra::gateway::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Caller chat_network() {
  Caller caller = House::caller("channel:chat:ann");
  caller.channel = "channel:chat:room";
  return caller;
}

api::RouteMessageRequest message(const std::string& text, const std::string& key = "") {
  api::RouteMessageRequest request;
  request.set_conversation("room");
  request.set_text(text);
  request.set_idempotency_key(key);
  return request;
}

class Room : public House {
 public:
  using House::House;
  api::RouteMessageResponse hear(const std::string& text, const std::string& key = "") {
    auto answer = run(gateway->route_message(chat_network(), message(text, key)));
    EXPECT_TRUE(answer.ok()) << answer.status().to_string();
    return answer.ok() ? *answer : api::RouteMessageResponse();
  }
  api::Run seen(const std::string& run_id) {
    api::GetRunRequest request;
    request.set_run_id(run_id);
    auto answer = run(gateway->get_run(chat_network(), request));
    return answer.ok() ? *answer : api::Run();
  }
};

TEST(Coalescer, RapidMessagesBecomeOneTurn) {
  Room room;
  const auto one = room.hear("hi", "k1");
  room.advance_ms(1'000);
  const auto two = room.hear("are you there?", "k2");
  room.advance_ms(1'400);
  EXPECT_EQ(room.seen(one.run_id()).state(), api::RUN_STATE_QUEUED) << "each extends the window";
  const auto three = room.hear("hello?", "k3");
  EXPECT_EQ(one.run_id(), two.run_id());
  EXPECT_EQ(one.run_id(), three.run_id());
  EXPECT_EQ(two.mode(), tape::QUEUE_MODE_COLLECT);
  EXPECT_NE(two.input_id(), one.input_id());
  EXPECT_TRUE(room.hear("are you there?", "k2").duplicate());
  EXPECT_TRUE(room.providers.requests.empty());
  room.advance_ms(1'499);
  EXPECT_TRUE(room.providers.requests.empty());
  room.advance_ms(1);
  EXPECT_EQ(room.providers.requests.size(), 1U);
  EXPECT_EQ(room.seen(one.run_id()).text(), "echo: hi\n\nare you there?\n\nhello?");
  EXPECT_EQ(room.seen(one.run_id()).inputs_added(), 2U);
  const auto four = room.hear("thanks");
  EXPECT_NE(four.run_id(), one.run_id());
  EXPECT_EQ(four.session_id(), one.session_id());
}

TEST(Coalescer, WhoNeverStopsTalkingIsAnsweredAfterTenWindows) {
  Room room;
  const auto one = room.hear("m");
  int more = 0;
  while (more < 30 && room.seen(one.run_id()).state() == api::RUN_STATE_QUEUED) {
    room.advance_ms(1'000);
    room.hear("m");
    ++more;
  }
  EXPECT_EQ(more, 15) << "10 windows of 1.5 s";
}

TEST(Coalescer, OthersDoNotWaitAndAConversationMaySay) {
  Room room;
  const auto direct = room.send("hi");
  room.executor.run_until_idle();
  EXPECT_EQ(room.run_of(direct.value().run_id).text(), "echo: hi");
  auto now = message("now");
  now.set_coalesce_ms(0);
  const auto at_once = room.run(room.gateway->route_message(chat_network(), now));
  room.executor.run_until_idle();
  EXPECT_EQ(room.seen(at_once.value().run_id()).text(), "echo: now");
  now.set_coalesce_ms(60'001);
  EXPECT_EQ(room.run(room.gateway->route_message(chat_network(), now)).status().code(),
            Code::kInvalidArgument);
  // Nobody can say more to a session that nobody has the name of.
  auto nameless = message("alone");
  nameless.clear_conversation();
  const auto alone = room.run(room.gateway->route_message(chat_network(), nameless));
  room.executor.run_until_idle();
  EXPECT_EQ(room.seen(alone.value().run_id()).text(), "echo: alone");
}

TEST(Coalescer, TwoFirstMessagesAtOnceMakeOneRun) {
  for (uint64_t seed = 1; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    Room room(seed);
    auto one = room.begin(room.gateway->route_message(chat_network(), message("a")));
    auto two = room.begin(room.gateway->route_message(chat_network(), message("b")));
    room.executor.run_until_idle();
    ASSERT_TRUE(one->has_value() && two->has_value());
    ASSERT_TRUE((*one)->ok() && (*two)->ok()) << (*two)->status().to_string();
    EXPECT_EQ((*one)->value().run_id(), (*two)->value().run_id());
  }
}

TEST(Coalescer, TheWindowGoesOnAfterACrashAndIsNeverLongerThanItWas) {
  Room room;
  const auto one = room.hear("a");
  room.hear("b");
  room.crash();
  room.clock.jump_wall(-24 * 3600 * kNanosPerSecond);
  room.start();
  EXPECT_EQ(room.hear("c").run_id(), one.run_id());
  room.advance_ms(1'500);
  EXPECT_EQ(room.seen(one.run_id()).text(), "echo: a\n\nb\n\nc");
  const auto two = room.hear("d");
  room.crash();
  room.clock.jump_wall(48 * 3600 * kNanosPerSecond);
  room.start();
  room.executor.run_until_idle();
  EXPECT_EQ(room.seen(two.run_id()).text(), "echo: d") << "a window in the past is over";
}

TEST(Coalescer, ARunThatWaitsCanBeWatchedAndCancelled) {
  Room room;
  const auto one = room.hear("a");
  api::RunAttach attach;
  attach.set_run_id(one.run_id());
  const auto watcher = room.run(room.gateway->attach(chat_network(), attach));
  ASSERT_TRUE(watcher.ok());
  auto first = room.begin(watcher.value()->next());
  room.executor.run_until_idle();
  ASSERT_TRUE(first->has_value());
  EXPECT_EQ((**first)->status().state(), api::RUN_STATE_QUEUED);
  room.hear("b");
  auto second = room.begin(watcher.value()->next());
  room.executor.run_until_idle();
  ASSERT_TRUE(second->has_value());
  EXPECT_EQ((**second)->input_added().text(), "b");
  api::CancelRunRequest cancel;
  cancel.set_run_id(one.run_id());
  ASSERT_TRUE(room.run(room.gateway->cancel_run(chat_network(), cancel)).ok());
  room.advance_ms(5'000);
  EXPECT_TRUE(room.providers.requests.empty());
  EXPECT_EQ(room.seen(one.run_id()).state(), api::RUN_STATE_CANCELLED);
  const auto next = room.hear("c");
  EXPECT_NE(next.run_id(), one.run_id());
  room.advance_ms(1'500);
  EXPECT_EQ(room.seen(next.run_id()).text(), "echo: c");
}

}  // namespace
}  // namespace palyra::gateway::testing
