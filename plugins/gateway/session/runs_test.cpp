// Runs from the first message to the last record, on a gateway in memory.
#include "plugins/gateway/session/testing.h"

#include <gmock/gmock.h>

#include <set>

namespace palyra::gateway::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Runs, AMessageBecomesAnAnswer) {
  House house;
  ASSERT_TRUE(house.recovered.ok()) << house.recovered.to_string();
  house.providers.say({"Hel", "lo"});
  const auto accepted = house.send("hi");
  ASSERT_TRUE(accepted.ok()) << accepted.status().to_string();
  EXPECT_GT(accepted.value().position, 0u);
  house.executor.run_until_idle();
  const auto run = house.run_of(accepted.value().run_id);
  EXPECT_EQ(run.state(), api::RUN_STATE_COMPLETED) << run.DebugString();
  EXPECT_EQ(run.text(), "Hello");
  EXPECT_THAT(house.tape_of(accepted.value().run_id),
              ElementsAre("run_created", "run_started", "context_started", "context_gathered",
                          "model_turn_started", "model_turn_finished", "run_completed"));
  EXPECT_EQ(run.seq(), 7u);
}

TEST(Runs, ASimpleRunCostsTwoCommits) {
  House house;
  ASSERT_TRUE(house.send("warm up").ok());
  house.executor.run_until_idle();
  const size_t before = house.journal.commits();
  house.providers.say({"a", "b", "c"});
  ASSERT_TRUE(house.send("hi").ok());
  house.executor.run_until_idle();
  EXPECT_EQ(house.journal.commits() - before, 2u);
}

TEST(Runs, AWatcherSeesEverySequenceNumberOnceAndTheWholeText) {
  House house;
  house.providers.say({"Hel", "lo ", "you"});
  const auto accepted = house.send("hi");
  ASSERT_TRUE(accepted.ok());
  const auto subscription = house.attach(accepted.value().run_id);
  ASSERT_NE(subscription, nullptr);
  const auto events = house.all(*subscription);
  uint64_t seq = 0;
  std::string text;
  for (const auto& event : events) {
    if (event.seq() != 0) {
      EXPECT_EQ(event.seq(), ++seq);
    }
    if (event.has_model_delta()) {
      EXPECT_EQ(event.model_delta().offset(), text.size());
      text += event.model_delta().text();
    }
  }
  EXPECT_EQ(seq, 7u);
  EXPECT_EQ(text, "Hello you");
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.back().status().state(), api::RUN_STATE_COMPLETED);
}

TEST(Runs, TheSecondTurnKnowsTheFirst) {
  House house;
  house.providers.say({"I am Ann's helper."});
  const auto first = house.send("who are you?");
  ASSERT_TRUE(first.ok());
  house.executor.run_until_idle();
  house.providers.say({"As I said."});
  const auto second = house.send("again?", first.value().session_id);
  ASSERT_TRUE(second.ok()) << second.status().to_string();
  house.executor.run_until_idle();
  ASSERT_EQ(house.providers.requests.size(), 2u);
  std::string seen;
  for (const auto& message : house.providers.requests[1].messages()) seen += message.text() + "|";
  EXPECT_THAT(seen, HasSubstr("You are terse."));
  EXPECT_THAT(seen, HasSubstr("who are you?"));
  EXPECT_THAT(seen, HasSubstr("I am Ann's helper."));
  EXPECT_THAT(seen, HasSubstr("again?"));
}

TEST(Runs, AFollowUpWaitsForTheRunBeforeItAndTheNinthIsRefused) {
  House house;
  house.providers.hang({"thinking"});
  const auto first = house.send("one");
  ASSERT_TRUE(first.ok());
  std::vector<std::string> runs;
  for (int i = 0; i < 8; ++i) {
    const auto next = house.send("more " + std::to_string(i), first.value().session_id);
    ASSERT_TRUE(next.ok()) << next.status().to_string();
    EXPECT_EQ(house.run_of(next.value().run_id).state(), api::RUN_STATE_QUEUED);
    runs.push_back(next.value().run_id);
  }
  const auto refused = house.send("too much", first.value().session_id);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::kResourceExhausted);
  EXPECT_EQ(house.gateway->load().queued_inputs, 8u);
  house.providers.release();
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(first.value().run_id).text(), "thinking");
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(house.run_of(runs[static_cast<size_t>(i)]).text(), "echo: more " + std::to_string(i));
  }
}

TEST(Runs, TheSameKeyAnswersTheFirstResultEvenInARace) {
  House house;
  auto one = house.begin(house.gateway->start_run(House::caller(), House::say("hi", "", "k1")));
  auto two = house.begin(house.gateway->start_run(House::caller(), House::say("hi", "", "k1")));
  house.executor.run_until_idle();
  ASSERT_TRUE(one->has_value() && two->has_value());
  ASSERT_TRUE((*one)->ok() && (*two)->ok()) << (*two)->status().to_string();
  EXPECT_EQ((*one)->value().run_id, (*two)->value().run_id);
  EXPECT_EQ((*one)->value().position, (*two)->value().position);
  EXPECT_NE((*one)->value().duplicate, (*two)->value().duplicate);
  const auto three = house.send("hi", "", "k1");
  ASSERT_TRUE(three.ok());
  EXPECT_TRUE(three.value().duplicate);
  EXPECT_EQ(three.value().run_id, (*one)->value().run_id);
  EXPECT_EQ(house.providers.requests.size(), 1u);
}

TEST(Runs, CancellingARunningRunStopsTheModel) {
  House house;
  house.providers.hang({"so far"});
  const auto accepted = house.send("hi");
  ASSERT_TRUE(accepted.ok());
  api::CancelRunRequest request;
  request.set_run_id(accepted.value().run_id);
  request.set_reason("enough");
  ASSERT_TRUE(house.run(house.gateway->cancel_run(House::caller(), request)).ok());
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_CANCELLED);
  EXPECT_THAT(house.tape_of(accepted.value().run_id),
              ::testing::IsSupersetOf({"cancel_requested", "run_cancelled"}));
}

TEST(Runs, AModelThatDoesNotHearOfTheCancelIsCutOffAfterFiveSeconds) {
  House house;
  house.providers.stubborn = true;
  house.providers.hang({"so far"});
  const auto accepted = house.send("hi");
  ASSERT_TRUE(accepted.ok());
  api::CancelRunRequest request;
  request.set_run_id(accepted.value().run_id);
  ASSERT_TRUE(house.run(house.gateway->cancel_run(House::caller(), request)).ok());
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_RUNNING);
  house.advance_ms(5'100);
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_CANCELLED);
}

TEST(Runs, CancellingAQueuedRunDropsItsInput) {
  House house;
  house.providers.hang({"busy"});
  const auto first = house.send("one");
  const auto second = house.send("two", first.value().session_id);
  ASSERT_TRUE(second.ok());
  api::CancelRunRequest request;
  request.set_run_id(second.value().run_id);
  const auto answer = house.run(house.gateway->cancel_run(House::caller(), request));
  ASSERT_TRUE(answer.ok()) << answer.status().to_string();
  EXPECT_EQ(answer.value().state(), api::RUN_STATE_CANCELLED);
  house.providers.release();
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(first.value().run_id).state(), api::RUN_STATE_COMPLETED);
  EXPECT_EQ(house.providers.requests.size(), 1u);
}

TEST(Runs, WaitingAnswersAtTheEndOrWhenTheTimeIsUp) {
  House house;
  house.providers.hang({"busy"});
  const auto accepted = house.send("one");
  api::WaitRunRequest request;
  request.set_run_id(accepted.value().run_id);
  request.set_timeout_ms(1000);
  auto early = house.begin(house.gateway->wait_run(House::caller(), request));
  house.advance_ms(1'500);
  ASSERT_TRUE(early->has_value());
  EXPECT_TRUE((*early)->value().timed_out());
  auto late = house.begin(house.gateway->wait_run(House::caller(), request));
  house.executor.run_until_idle();
  EXPECT_FALSE(late->has_value());
  house.providers.release();
  house.executor.run_until_idle();
  ASSERT_TRUE(late->has_value());
  EXPECT_EQ((*late)->value().run().state(), api::RUN_STATE_COMPLETED);
}

TEST(Runs, AFullDiskDelaysARunAndLosesNothing) {
  House house;
  house.providers.hang({"almost"});
  const auto accepted = house.send("one");
  ASSERT_TRUE(accepted.ok());
  house.store.refuse_writes(Status(Code::kResourceExhausted, "disk full"));
  EXPECT_EQ(house.send("two").status().code(), Code::kResourceExhausted);
  house.providers.release();
  house.advance_ms(60'000);
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_RUNNING);
  house.store.refuse_writes(Status());
  house.advance_ms(6'000);
  EXPECT_EQ(house.run_of(accepted.value().run_id).text(), "almost");
}

// What the journal says when more commits wait than its queue may hold.
Status queue_full() {
  return Status(Code::kResourceExhausted, "the journal's queue of writes is full; try again",
                PALYRA_ERROR_RETRYABLE);
}

TEST(Runs, AFullQueueOfTheJournalIsWaitedOutWhereverItMeetsARun) {
  std::vector<std::string> undisturbed;
  bool more = true;
  // Round 0 is the run without it, then it is full after one step, after two ...
  for (int steps = 0; more; ++steps) {
    SCOPED_TRACE("full after " + std::to_string(steps) + " steps");
    ASSERT_LT(steps, 500);
    House house;
    house.tools.add_text("act", service::TOOL_ACCESS_READ, palyra::common::v1::EFFECT_CLASS_OPAQUE,
                         "acted");
    house.providers.call("act", "{}");
    house.providers.say({"Done", "."});
    const auto begin = [&house] {
      return house.begin(house.gateway->start_run(House::caller(), House::say("act", "", "key")));
    };
    auto accepted = begin();
    for (int i = 0; i < steps && more; ++i) more = house.executor.run_one();
    if (steps > 0) house.store.refuse_writes(queue_full());
    const size_t commits = house.journal.commits();
    house.advance_ms(3'000);
    if (steps > 0) {
      // 100 ms, 200 ms, 400 ms ... after the first.
      EXPECT_LE(house.journal.commits() - commits, 7U);
    }
    house.store.refuse_writes(Status());
    house.advance_ms(6'000);
    ASSERT_TRUE(accepted->has_value());
    if (!(*accepted)->ok()) {
      EXPECT_EQ((*accepted)->status().code(), Code::kResourceExhausted) << "not acknowledged";
      EXPECT_TRUE((*accepted)->status().retryable());
      EXPECT_TRUE(house.tools.invoked.empty()) << "nothing happens before it is durable";
      accepted = begin();
      house.executor.run_until_idle();
      ASSERT_TRUE(accepted->has_value() && (*accepted)->ok());
    }
    const std::string run_id = (*accepted)->value().run_id;
    EXPECT_EQ(house.run_of(run_id).state(), api::RUN_STATE_COMPLETED);
    EXPECT_EQ(house.run_of(run_id).text(), "Done.");
    EXPECT_EQ(house.tools.invoked.size(), 1U) << "no effect twice";
    EXPECT_EQ(house.providers.requests.size(), 2U);
    if (steps == 0) undisturbed = house.tape_of(run_id);
    EXPECT_EQ(house.tape_of(run_id), undisturbed) << "nothing is lost";
    api::ListRunsRequest list;
    EXPECT_EQ(house.run(house.gateway->list_runs(House::caller(), list)).value().runs_size(), 1);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(Runs, AFullQueueRefusesWhatItWouldHaveToRememberAndTheSameKeyIsTakenLater) {
  House house;
  house.providers.hang({"almost"});
  const auto first = house.send("one");
  ASSERT_TRUE(first.ok());
  house.store.refuse_writes(queue_full());
  house.providers.release();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(house.send("two", "", "k").status().code(), Code::kResourceExhausted);
  }
  house.crash();
  house.store.refuse_writes(Status());
  house.providers.script.clear();
  house.start();
  house.executor.run_until_idle();
  const auto second = house.send("two", "", "k");
  ASSERT_TRUE(second.ok());
  EXPECT_FALSE(second->duplicate);
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(first->run_id).text(), "echo: one")
      << "nobody was told \"almost\" for good";
  EXPECT_EQ(house.run_of(second->run_id).text(), "echo: two");
}

TEST(Runs, ARunOfAnotherPrincipalIsNotShown) {
  House house;
  const auto accepted = house.send("secret");
  ASSERT_TRUE(accepted.ok());
  api::GetRunRequest get;
  get.set_run_id(accepted.value().run_id);
  EXPECT_EQ(house.run(house.gateway->get_run(House::caller("user:bob"), get)).status().code(),
            Code::kPermissionDenied);
  api::RunAttach attach;
  attach.set_run_id(accepted.value().run_id);
  EXPECT_EQ(house.run(house.gateway->attach(House::caller("user:bob"), attach)).status().code(),
            Code::kPermissionDenied);
  EXPECT_EQ(house
                .run(house.gateway->start_run(House::caller("user:bob"),
                                              House::say("hi", accepted.value().session_id)))
                .status()
                .code(),
            Code::kPermissionDenied);
  api::ListRunsRequest list;
  EXPECT_EQ(
      house.run(house.gateway->list_runs(House::caller("user:bob"), list)).value().runs_size(), 0);
  EXPECT_EQ(house.run(house.gateway->list_runs(House::caller(), list)).value().runs_size(), 1);
}

TEST(Runs, BadInputIsRefusedAndNothingIsStored) {
  House house;
  EXPECT_EQ(house.send("").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(house.send("hi", "nonsense").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(house.send("hi", "01ARZ3NDEKTSV4RRFFQ69G5FAV").status().code(), Code::kNotFound);
  EXPECT_EQ(house.send(std::string(1024 * 1024 + 1, 'x')).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(house.send("\xFF").status().code(), Code::kInvalidArgument);
  auto request = House::say("hi");
  request.set_agent_id("nobody");
  EXPECT_EQ(house.run(house.gateway->start_run(House::caller(), request)).status().code(),
            Code::kNotFound);
  EXPECT_EQ(house.gateway->load().active_runs, 0u);
}

TEST(Runs, AListOfLongAnswersComesInPagesThatCanBeSent) {
  House house;
  constexpr int kRuns = 14;
  for (int i = 0; i < kRuns; ++i) {
    house.providers.say({std::string(450 * 1024, 'x')});
    ASSERT_TRUE(house.send("hi").ok());
    house.executor.run_until_idle();
  }
  std::set<std::string> seen;
  api::ListRunsRequest list;
  list.set_page_size(500);
  do {
    const auto page = house.run(house.gateway->list_runs(House::caller(), list));
    ASSERT_TRUE(page.ok()) << page.status().to_string();
    EXPECT_LT(page->ByteSizeLong(), size_t{4} << 20);
    for (const auto& run : page->runs()) seen.insert(run.run_id());
    list.set_page_token(page->next_page_token());
  } while (!list.page_token().empty());
  EXPECT_EQ(seen.size(), size_t{kRuns});
}

TEST(Runs, AttachingBeyondTheEndIsOutOfRange) {
  House house;
  const auto accepted = house.send("one");
  house.executor.run_until_idle();
  api::RunAttach request;
  request.set_run_id(accepted.value().run_id);
  request.set_from_seq(9);
  EXPECT_EQ(house.run(house.gateway->attach(House::caller(), request)).status().code(),
            Code::kOutOfRange);
  request.set_from_seq(8);
  auto answer = house.run(house.gateway->attach(House::caller(), request));
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(house.all(**answer).empty());
}

}  // namespace
}  // namespace palyra::gateway::testing
