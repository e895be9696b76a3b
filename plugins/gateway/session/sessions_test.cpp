// Sessions, and what a watcher gets wherever it attaches.
#include "plugins/gateway/session/testing.h"

#include <gmock/gmock.h>

#include <random>

namespace palyra::gateway::testing {
namespace {

using ::testing::SizeIs;

api::Session resolve(House& house, const std::string& conversation, const std::string& title = "") {
  api::ResolveSessionRequest request;
  request.set_conversation(conversation);
  request.set_title(title);
  auto answer = house.run(house.gateway->resolve_session(House::caller(), request));
  EXPECT_TRUE(answer.ok()) << answer.status().to_string();
  return answer.ok() ? answer.value() : api::Session();
}

TEST(Sessions, TheSameConversationIsTheSameSession) {
  House house;
  const auto first = resolve(house, "kitchen");
  EXPECT_EQ(resolve(house, "kitchen").session_id(), first.session_id());
  EXPECT_NE(resolve(house, "garden").session_id(), first.session_id());
  EXPECT_NE(resolve(house, "").session_id(), resolve(house, "").session_id());
  api::RouteMessageRequest route;
  route.set_conversation("kitchen");
  route.set_text("hi");
  const auto routed = house.run(house.gateway->route_message(House::caller(), route));
  ASSERT_TRUE(routed.ok()) << routed.status().to_string();
  EXPECT_EQ(routed.value().session_id(), first.session_id());
  house.crash();
  house.start();
  EXPECT_EQ(resolve(house, "kitchen").session_id(), first.session_id());
}

TEST(Sessions, ClientWordsCannotChooseTheChannelThatPolicySees) {
  House house;
  api::RouteMessageRequest route;
  route.set_channel("channel:slack:general");
  route.set_text("hi");
  EXPECT_EQ(house.run(house.gateway->route_message(House::caller(), route)).status().code(),
            Code::kPermissionDenied);
  api::ResolveSessionRequest request;
  request.set_channel("channel:slack:general");
  EXPECT_EQ(house.run(house.gateway->resolve_session(House::caller(), request)).status().code(),
            Code::kPermissionDenied);
  route.set_channel(House::caller().channel);
  EXPECT_TRUE(house.run(house.gateway->route_message(House::caller(), route)).ok());
}

TEST(Sessions, AreCalledByTheirFirstMessageUnlessNamed) {
  House house;
  api::RouteMessageRequest route;
  route.set_text("Plan the garden\nwith roses");
  const auto routed = house.run(house.gateway->route_message(House::caller(), route));
  ASSERT_TRUE(routed.ok());
  api::GetSessionRequest get;
  get.set_session_id(routed->session_id());
  const auto session = house.run(house.gateway->get_session(House::caller(), get));
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session->title(), "Plan the garden");
  EXPECT_FALSE(session->agent_id().empty());
}

TEST(Sessions, TwoWhoMakeTheSameConversationAtOnceGetOne) {
  House house;
  api::ResolveSessionRequest request;
  request.set_conversation("hall");
  auto one = house.begin(house.gateway->resolve_session(House::caller(), request));
  auto two = house.begin(house.gateway->resolve_session(House::caller(), request));
  house.executor.run_until_idle();
  ASSERT_TRUE(one->has_value() && two->has_value() && (*one)->ok() && (*two)->ok());
  EXPECT_EQ((*one)->value().session_id(), (*two)->value().session_id());
}

TEST(Sessions, AreListedByUseSearchedRenamedAndArchived) {
  House house;
  const auto a = resolve(house, "a", "Buy milk");
  house.advance_ms(10);
  const auto b = resolve(house, "b", "Fix the roof");
  house.advance_ms(10);
  ASSERT_TRUE(house.send("hi", a.session_id()).ok());
  house.executor.run_until_idle();
  api::ListSessionsRequest list;
  list.set_page_size(1);
  auto page = house.run(house.gateway->list_sessions(House::caller(), list)).value();
  ASSERT_THAT(page.sessions(), SizeIs(1));
  EXPECT_EQ(page.sessions(0).session_id(), a.session_id());
  list.set_page_token(page.next_page_token());
  page = house.run(house.gateway->list_sessions(House::caller(), list)).value();
  ASSERT_THAT(page.sessions(), SizeIs(1));
  EXPECT_EQ(page.sessions(0).session_id(), b.session_id());
  api::RenameSessionRequest rename;
  rename.set_session_id(b.session_id());
  rename.set_title("Paint the roof");
  ASSERT_TRUE(house.run(house.gateway->rename_session(House::caller(), rename)).ok());
  api::ListSessionsRequest search;
  search.set_search("paint");
  page = house.run(house.gateway->list_sessions(House::caller(), search)).value();
  ASSERT_THAT(page.sessions(), SizeIs(1));
  EXPECT_EQ(page.sessions(0).title(), "Paint the roof");
  EXPECT_THAT(
      house.run(house.gateway->list_sessions(House::caller("user:bob"), search)).value().sessions(),
      SizeIs(0));
  api::ArchiveSessionRequest archive;
  archive.set_session_id(b.session_id());
  archive.set_archived(true);
  ASSERT_TRUE(house.run(house.gateway->archive_session(House::caller(), archive)).ok());
  page = house.run(house.gateway->list_sessions(House::caller(), {})).value();
  EXPECT_THAT(page.sessions(), SizeIs(1));
  const Status archived = house.send("hi", b.session_id()).status();
  EXPECT_EQ(archived.code(), Code::kFailedPrecondition);
  EXPECT_THAT(archived.message(), ::testing::HasSubstr("archive " + b.session_id() + " --undo"));
  EXPECT_EQ(
      house.run(house.gateway->rename_session(House::caller("user:bob"), rename)).status().code(),
      Code::kPermissionDenied);
}

TEST(Sessions, AResetSessionHasForgottenItsTurns) {
  House house;
  const auto first = house.send("my name is Ann");
  house.executor.run_until_idle();
  api::ResetSessionRequest reset;
  reset.set_session_id(first.value().session_id);
  ASSERT_TRUE(house.run(house.gateway->reset_session(House::caller(), reset)).ok());
  ASSERT_TRUE(house.send("who am I?", first.value().session_id).ok());
  house.executor.run_until_idle();
  std::string seen;
  for (const auto& message : house.providers.requests.back().messages()) seen += message.text();
  EXPECT_THAT(seen, ::testing::Not(::testing::HasSubstr("my name is Ann")));
}

TEST(Sessions, HistoryIsReadBackAfterARestart) {
  House house;
  const auto first = house.send("my name is Ann");
  house.executor.run_until_idle();
  ASSERT_TRUE(house.send("I like tea", first.value().session_id).ok());
  house.executor.run_until_idle();
  house.crash();
  house.start();
  ASSERT_TRUE(house.send("who am I?", first.value().session_id).ok());
  house.executor.run_until_idle();
  std::string seen;
  for (const auto& message : house.providers.requests.back().messages()) {
    seen += message.text() + "|";
  }
  EXPECT_THAT(seen, ::testing::HasSubstr("my name is Ann"));
  EXPECT_THAT(seen, ::testing::HasSubstr("I like tea"));
}

TEST(Sessions, MemoryHoldsThoseInUseAndAFewMore) {
  Options options = test_options();
  options.idle_sessions = 4;
  House house(0, options);
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(house.send("hi").ok());
    house.executor.run_until_idle();
  }
  EXPECT_LE(house.gateway->sessions_in_memory(), 4u);
}

TEST(Sessions, ManyRunsLeaveNothingBehindInMemory) {
  Options options = test_options();
  options.idle_sessions = 8;
  House house(0, options);
  std::string session;
  for (int i = 0; i < 2000; ++i) {
    // Sessions come and go, some runs are watched, some are cancelled.
    const auto sent = house.send("hi", i % 20 == 0 ? std::string() : session);
    ASSERT_TRUE(sent.ok()) << sent.status().to_string();
    session = sent->session_id;
    if (i % 3 == 0) {
      const auto watch = house.attach(sent->run_id);
      ASSERT_NE(watch, nullptr);
      EXPECT_FALSE(house.all(*watch).empty());
    }
    if (i % 7 == 0) {
      api::CancelRunRequest cancel;
      cancel.set_run_id(sent->run_id);
      EXPECT_TRUE(house.run(house.gateway->cancel_run(House::caller(), cancel)).ok());
    }
    house.executor.run_until_idle();
  }
  EXPECT_EQ(house.gateway->runs_in_memory(), 0u);
  EXPECT_LE(house.gateway->sessions_in_memory(), 8u);
  const Gateway::Load load = house.gateway->load();
  EXPECT_EQ(load.active_runs + load.waiting_runs + load.queued_inputs, 0u);
  EXPECT_TRUE(house.executor.idle()) << "a timer of a run that has ended";
}

TEST(Sessions, ASessionThatIsUsedAgainAndAgainIsNotReadAgain) {
  Options options = test_options();
  options.idle_sessions = 4;
  House house(0, options);
  std::string sessions[3];
  for (int i = 0; i < 30; ++i) {
    std::string& session = sessions[i % 3];
    const auto sent = house.send("hi", session);
    ASSERT_TRUE(sent.ok());
    session = sent->session_id;
    house.executor.run_until_idle();
  }
  EXPECT_EQ(house.gateway->sessions_in_memory(), 3u);
}

TEST(Sessions, TheListShowsTheRunOfASessionWhoseDocumentLags) {
  House house;
  const auto first = house.send("one");
  ASSERT_TRUE(first.ok());
  house.executor.run_until_idle();
  house.providers.hang({"well"});
  const auto second = house.send("two", first->session_id);
  ASSERT_TRUE(second.ok());
  const auto active = [&] {
    const auto list = house.run(house.gateway->list_sessions(House::caller(), {}));
    return list.ok() && list->sessions_size() == 1 ? list->sessions(0).active_run() : "none";
  };
  EXPECT_EQ(active(), second->run_id);
  house.crash();
  house.providers.hang({"well"});
  house.start();
  EXPECT_EQ(active(), second->run_id);
}

// What a client has put together from a subscription.
struct Client {
  uint64_t seq = 0;
  uint32_t turn = 0;
  uint32_t attempt = 1;
  std::map<uint32_t, std::string> texts;
  bool ended = false;

  void take(const api::RunStreamEvent& event) {
    if (event.seq() != 0) {
      EXPECT_EQ(event.seq(), seq + 1);
      seq = event.seq();
    }
    if (event.has_model_delta()) {
      const auto& delta = event.model_delta();
      turn = delta.turn();
      attempt = delta.attempt();
      EXPECT_EQ(delta.offset(), texts[turn].size());
      texts[turn] += delta.text();
    }
    if (event.has_turn_restarted()) {
      turn = event.turn_restarted().turn();
      attempt = event.turn_restarted().attempt();
      texts[turn].clear();
    }
    if (event.has_status() && event.status().state() == api::RUN_STATE_COMPLETED) ended = true;
  }
  api::RunAttach place(const std::string& run_id) {
    api::RunAttach out;
    out.set_run_id(run_id);
    out.set_from_seq(seq + 1);
    if (turn != 0) {
      out.set_turn(turn);
      out.set_attempt(attempt);
      out.set_offset(texts[turn].size());
    }
    return out;
  }
};

TEST(Watching, WhoDetachesAndAttachesAnywhereHasTheWholeTextInTheEnd) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    House house(seed);
    house.tools.add_text("fs.read", service::TOOL_ACCESS_READ,
                         palyra::common::v1::EFFECT_CLASS_NONE, "content");
    std::map<uint32_t, std::string> expected;
    for (uint32_t turn = 1; turn <= 3; ++turn) {
      Say say;
      for (auto parts = random() % 30; parts > 0; --parts) {
        say.text.push_back("part " + std::to_string(random() % 1000) + " ");
        expected[turn] += say.text.back();
      }
      if (turn < 3) {
        auto& call = say.calls.emplace_back();
        call.set_call_id("c");
        call.set_name("fs.read");
        call.set_arguments_json("{}");
      } else {
        say.text.push_back("the end");
        expected[turn] += "the end";
      }
      house.providers.script.push_back(say);
    }
    const auto accepted = house.begin(house.gateway->start_run(House::caller(), House::say("go")));
    while (!accepted->has_value()) ASSERT_TRUE(house.executor.run_one());
    ASSERT_TRUE((*accepted)->ok());
    const std::string run_id = (*accepted)->value().run_id;
    Client client;
    while (!client.ended) {
      auto attached = house.begin(house.gateway->attach(House::caller(), client.place(run_id)));
      while (!attached->has_value()) ASSERT_TRUE(house.executor.run_one());
      ASSERT_TRUE((*attached)->ok()) << (*attached)->status().to_string();
      const auto subscription = std::move(**attached).value();
      for (auto wanted = random() % 12; wanted > 0 && !client.ended; --wanted) {
        auto event = house.begin(subscription->next());
        while (!event->has_value()) ASSERT_TRUE(house.executor.run_one());
        if (!(*event)->has_value()) break;
        client.take(***event);
        // A slow reader: the run goes on meanwhile.
        for (auto steps = random() % 20; steps > 0; --steps) house.executor.run_one();
      }
    }
    for (auto& [turn, text] : expected) EXPECT_EQ(client.texts[turn], text);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(Sessions, TheQueueModeIsOnTheTapeAndOutlivesACrash) {
  House house;
  const auto accepted = house.send("hi");
  ASSERT_TRUE(accepted.ok());
  house.executor.run_until_idle();
  api::SetQueueModeRequest request;
  request.set_session_id(accepted.value().session_id);
  request.set_mode(tape::QUEUE_MODE_STEER);
  EXPECT_EQ(
      house.run(house.gateway->set_queue_mode(House::caller("user:bob"), request)).status().code(),
      Code::kPermissionDenied);
  const auto changed = house.run(house.gateway->set_queue_mode(House::caller(), request));
  ASSERT_TRUE(changed.ok()) << changed.status().to_string();
  house.crash();
  house.start();
  api::GetSessionRequest get;
  get.set_session_id(accepted.value().session_id);
  const auto session = house.run(house.gateway->get_session(House::caller(), get));
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session.value().queue_mode(), tape::QUEUE_MODE_STEER);
  request.set_mode(static_cast<tape::QueueMode>(9));
  EXPECT_EQ(house.run(house.gateway->set_queue_mode(House::caller(), request)).status().code(),
            Code::kInvalidArgument);
}

}  // namespace
}  // namespace palyra::gateway::testing
