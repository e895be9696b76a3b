// The power goes at any moment, and nothing that was accepted is lost.
#include "plugins/gateway/session/testing.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <random>

namespace palyra::gateway::testing {
namespace {

using ::testing::Contains;
using ::testing::SizeIs;

TEST(Recovery, ARunThatACrashCutOffIsContinued) {
  House house;
  house.providers.hang({"half an ans"});
  const auto accepted = house.send("hi");
  ASSERT_TRUE(accepted.ok());
  house.crash();
  house.providers.say({"a whole answer"});
  house.start();
  ASSERT_TRUE(house.recovered.ok()) << house.recovered.to_string();
  house.executor.run_until_idle();
  const auto run = house.run_of(accepted.value().run_id);
  EXPECT_EQ(run.state(), api::RUN_STATE_COMPLETED);
  EXPECT_EQ(run.text(), "a whole answer");
  EXPECT_THAT(house.tape_of(accepted.value().run_id), Contains("model_turn_interrupted"));
}

TEST(Recovery, TextThatWasShownIsOnTheTapeAfterACrash) {
  House house;
  house.providers.hang({std::string(5'000, 'x')});
  const auto accepted = house.send("hi");
  house.executor.run_until_idle();
  house.crash();
  house.providers.say({"again"});
  house.start();
  house.executor.run_until_idle();
  api::ReadTapeRequest request;
  request.set_run_id(accepted.value().run_id);
  const auto page = house.run(house.gateway->read_tape(House::caller(), request));
  ASSERT_TRUE(page.ok());
  size_t shown = 0;
  for (const auto& entry : page.value().entries()) {
    tape::RunEvent event;
    ASSERT_TRUE(event.ParseFromString(entry.payload()));
    if (event.has_model_turn_interrupted()) {
      shown = event.model_turn_interrupted().partial_text().size();
    }
  }
  EXPECT_EQ(shown, 5'000u);
  service::GetRequest get;
  get.set_collection("partials");
  get.set_key(accepted.value().run_id);
  EXPECT_FALSE(house.run(house.journal.get(get)).value().has_document());
}

TEST(Recovery, AWatcherThatComesBackIsToldThatTheTurnBeganAgain) {
  House house;
  house.providers.hang({"half"});
  const auto accepted = house.send("hi");
  house.crash();
  house.providers.say({"whole"});
  house.start();
  house.executor.run_until_idle();
  api::RunAttach request;
  request.set_run_id(accepted.value().run_id);
  request.set_from_seq(6);
  request.set_turn(1);
  request.set_attempt(1);
  request.set_offset(4);
  const auto subscription = house.run(house.gateway->attach(House::caller(), request));
  ASSERT_TRUE(subscription.ok());
  std::string text = "half";
  for (const auto& event : house.all(*subscription.value())) {
    if (event.has_turn_restarted()) text.clear();
    if (event.has_model_delta()) {
      EXPECT_EQ(event.model_delta().offset(), text.size());
      text += event.model_delta().text();
    }
  }
  EXPECT_EQ(text, "whole");
}

TEST(Recovery, QueuedInputsGoOnInTheirOrder) {
  House house;
  house.providers.hang({"one"});
  const auto first = house.send("1");
  const auto second = house.send("2", first.value().session_id);
  const auto third = house.send("3", first.value().session_id);
  ASSERT_TRUE(third.ok());
  house.crash();
  house.providers.say({"first"});
  house.start();
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(first.value().run_id).text(), "first");
  EXPECT_EQ(house.run_of(second.value().run_id).text(), "echo: 2");
  EXPECT_EQ(house.run_of(third.value().run_id).text(), "echo: 3");
}

TEST(Recovery, ARestartWithoutACrashLeavesNothingSuspended) {
  House house;
  house.providers.hang({"half"});
  const auto accepted = house.send("hi");
  auto subscription = house.attach(accepted.value().run_id);
  auto waiting = house.begin(subscription->next());
  house.executor.run_until_idle();
  house.stop();
  subscription.reset();
  house.providers.say({"whole"});
  house.start();
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(accepted.value().run_id).text(), "whole");
}

// Cuts the power at a random moment of a conversation with tools, again and again.
TEST(Recovery, WhereverThePowerGoesEveryAcceptedMessageIsAnsweredOnce) {
  const char* given = std::getenv("PALYRA_TEST_SEED");
  const uint64_t base = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  for (uint64_t seed = base; seed < base + 60; ++seed) {
    SCOPED_TRACE("PALYRA_TEST_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    policy::PolicyRules rules;
    rules.write_default = tape::VERDICT_ALLOW;
    House house(seed, test_options(), rules);
    std::map<std::string, int> effects;
    house.tools.add("mail.send", service::TOOL_ACCESS_WRITE, palyra::common::v1::EFFECT_CLASS_KEYED,
                    [&effects](const service::InvokeRequest& request) {
                      effects[request.idempotency_key()] = 1;
                      service::InvokeResult result;
                      result.set_content("sent");
                      return Result<service::InvokeResult>(result);
                    });
    std::vector<std::string> accepted;
    std::string session;
    for (int message = 0; message < 4; ++message) {
      house.providers.script.clear();
      if (random() % 2 == 0) house.providers.call("mail.send", "{}");
      const std::string key = "k" + std::to_string(message);
      auto answer = house.begin(house.gateway->start_run(
          House::caller(), House::say("m" + std::to_string(message), session, key)));
      for (auto steps = random() % 60; steps > 0; --steps) house.executor.run_one();
      if (answer->has_value() && (*answer)->ok()) {
        accepted.push_back((*answer)->value().run_id);
        session = (*answer)->value().session_id;
      }
      answer.reset();
      house.crash();
      house.start();
      ASSERT_TRUE(house.recovered.ok()) << house.recovered.to_string();
      if (random() % 2 == 0) house.executor.run_until_idle();
      // Who got no answer asks again with the key.
      const auto again = house.send("m" + std::to_string(message), session, key);
      ASSERT_TRUE(again.ok()) << again.status().to_string();
      session = again.value().session_id;
      accepted.push_back(again.value().run_id);
    }
    house.advance_ms(120'000);
    for (const auto& run_id : accepted) {
      const auto run = house.run_of(run_id);
      EXPECT_EQ(run.state(), api::RUN_STATE_COMPLETED) << run.DebugString();
    }
    api::VerifyTapeRequest verify;
    verify.set_session_id(session);
    const auto verified = house.run(house.gateway->verify_tape(House::caller(), verify));
    EXPECT_TRUE(verified.ok() && verified.value().ok());
    if (::testing::Test::HasFailure()) return;
  }
}

// A run that waits for an approval, and a second daemon over the same store.
struct TwoDaemons {
  explicit TwoDaemons(const std::string& second_owner) {
    house.tools.add_text("pay", service::TOOL_ACCESS_WRITE, palyra::common::v1::EFFECT_CLASS_KEYED,
                         "paid");
    house.providers.call("pay", "{}");
    const auto accepted = house.send("pay the bill");
    house.executor.run_until_idle();
    run_id = accepted.ok() ? accepted.value().run_id : "";
    Options options = test_options();
    options.lease_owner = second_owner;
    second = std::make_unique<GatewayImpl>(
        World{house.clock, house.executor, house.ids, house.journal, house.providers, house.tools},
        options, policy::PolicyRules());
    recovered = house.run(second->recover());
  }
  House house;
  std::string run_id;
  std::unique_ptr<GatewayImpl> second;
  Status recovered;
};

TEST(Takeover, WhoTakesUpARunThatWaitsFencesTheDaemonBefore) {
  TwoDaemons two(test_options().lease_owner);
  ASSERT_TRUE(two.recovered.ok()) << two.recovered.to_string();
  ASSERT_THAT(two.house.pending(), SizeIs(1));
  const auto id = two.house.pending()[0].request().approval_id();
  // The first daemon was paused and did not notice.
  EXPECT_FALSE(two.house.decide(id, tape::APPROVAL_VERDICT_ALLOW).ok());
  EXPECT_THAT(two.house.tools.invoked, SizeIs(0));
  api::ApprovalDecision decision;
  decision.set_approval_id(id);
  decision.set_verdict(tape::APPROVAL_VERDICT_ALLOW);
  EXPECT_TRUE(two.house.run(two.second->decide_approval(House::caller(), decision)).ok());
  two.house.executor.run_until_idle();
  EXPECT_THAT(two.house.tools.invoked, SizeIs(1));
}

TEST(Takeover, ACancelIsNotAcknowledgedByADaemonThatDoesNotDriveTheRun) {
  TwoDaemons two("another");
  ASSERT_TRUE(two.recovered.ok()) << two.recovered.to_string();
  api::CancelRunRequest request;
  request.set_run_id(two.run_id);
  const auto cancelled = two.house.run(two.second->cancel_run(House::caller(), request));
  EXPECT_EQ(cancelled.status().code(), Code::kUnavailable) << cancelled.status().to_string();
  EXPECT_EQ(two.house.run_of(two.run_id).state(), api::RUN_STATE_WAITING);
}

TEST(Takeover, WhoWaitsForARunOfAnotherDaemonWaitsUntilItEndsOrTheTimeIsUp) {
  TwoDaemons two("another");
  House& house = two.house;
  api::WaitRunRequest request;
  request.set_run_id(two.run_id);
  request.set_timeout_ms(10'000);
  const auto in_vain = house.begin(two.second->wait_run(House::caller(), request));
  request.set_timeout_ms(60'000);
  const auto waits = house.begin(two.second->wait_run(House::caller(), request));
  const size_t reads = house.journal.reads();
  house.advance_ms(9'000);
  EXPECT_FALSE(in_vain->has_value());
  house.advance_ms(1'000);
  ASSERT_TRUE(in_vain->has_value());
  EXPECT_TRUE((*in_vain)->value().timed_out());
  EXPECT_LE(house.journal.reads() - reads, 50U) << "it looks now and then";
  EXPECT_FALSE(waits->has_value());
  ASSERT_TRUE(
      house.decide(house.pending()[0].request().approval_id(), tape::APPROVAL_VERDICT_ALLOW).ok());
  house.advance_ms(1'000);
  ASSERT_TRUE(waits->has_value());
  EXPECT_FALSE((*waits)->value().timed_out());
  EXPECT_EQ((*waits)->value().run().state(), api::RUN_STATE_COMPLETED);
}

TEST(Takeover, AStopEndsTheWaitForARunOfAnotherDaemon) {
  TwoDaemons two("another");
  api::WaitRunRequest request;
  request.set_run_id(two.run_id);
  const auto waits = two.house.begin(two.second->wait_run(House::caller(), request));
  two.house.executor.run_until_idle();
  EXPECT_FALSE(waits->has_value());
  two.house.run(two.second->shutdown());
  ASSERT_TRUE(waits->has_value());
  EXPECT_TRUE((*waits)->value().timed_out());
}

TEST(Takeover, ASessionWhoseRunAnotherDaemonDrivesGetsNoSecondRun) {
  TwoDaemons two("another");
  const auto session = two.house.run_of(two.run_id).session_id();
  const auto second =
      two.house.run(two.second->start_run(House::caller(), House::say("hello", session)));
  EXPECT_EQ(second.status().code(), Code::kAborted) << second.status().to_string();
  // Its lease runs out; then the run is taken up, and the message waits behind it.
  two.house.clock.advance(60 * kNanosPerSecond);
  const auto again =
      two.house.run(two.second->start_run(House::caller(), House::say("hello", session)));
  ASSERT_TRUE(again.ok()) << again.status().to_string();
  EXPECT_THAT(two.house.tape_of(again.value().run_id), SizeIs(1));
}

TEST(Takeover, TheConversationIsReadAnewByWhoLookedAtItBefore) {
  TwoDaemons two("another");
  House& house = two.house;
  const auto session = house.run_of(two.run_id).session_id();
  ASSERT_TRUE(
      house.decide(house.pending()[0].request().approval_id(), tape::APPROVAL_VERDICT_ALLOW).ok());
  house.executor.run_until_idle();
  api::ListPinsRequest look;
  look.set_session_id(session);
  ASSERT_TRUE(house.run(two.second->list_pins(House::caller(), look)).ok());
  ASSERT_TRUE(house.send("the rent is paid", session).ok());
  house.executor.run_until_idle();
  house.providers.call("pay", "{}");
  ASSERT_TRUE(house.send("pay the tax", session).ok());
  house.executor.run_until_idle();
  house.clock.advance(60 * kNanosPerSecond);
  ASSERT_TRUE(house.run(two.second->recover()).ok());
  api::ApprovalDecision decision;
  decision.set_approval_id(house.pending()[0].request().approval_id());
  decision.set_verdict(tape::APPROVAL_VERDICT_ALLOW);
  ASSERT_TRUE(house.run(two.second->decide_approval(House::caller(), decision)).ok());
  house.executor.run_until_idle();
  std::string seen;
  for (const auto& message : house.providers.requests.back().messages()) seen += message.text();
  EXPECT_THAT(seen, ::testing::HasSubstr("the rent is paid"));
}

// A journal through which a daemon sees what others do while its own requests are on their way.
class CrossedJournal : public StoreJournal {
 public:
  using StoreJournal::StoreJournal;
  using Meddling = std::function<Task<void>()>;

  // Before each commit that takes a lease, and before the others.
  Meddling before_take;
  Meddling before_fence;
  // Behind the list of the runs that have not ended.
  Meddling behind_list;
  // Before each read of a stream.
  std::function<Task<void>(service::ReadRequest)> before_read;

  Task<Result<service::CommitResponse>> commit(service::CommitRequest request) override {
    const Meddling meddle = before_take;  // which may end itself
    if (meddle && request.takes_size() > 0) co_await meddle();
    const Meddling fenced = before_fence;
    if (fenced && request.takes_size() == 0) co_await fenced();
    co_return co_await StoreJournal::commit(std::move(request));
  }
  Task<Result<service::ReadResponse>> read(service::ReadRequest request) override {
    if (before_read) co_await before_read(request);
    co_return co_await StoreJournal::read(std::move(request));
  }
  Task<Result<service::QueryResponse>> query(service::QueryRequest request) override {
    const bool lists = request.index() == "active";
    auto answer = co_await StoreJournal::query(std::move(request));
    const Meddling meddle = behind_list;
    if (meddle && lists) co_await meddle();
    co_return answer;
  }
};

// A daemon whose run is under way, and one that takes it over while the first goes on.
struct Crossing {
  Crossing() : journal(house.store) {
    house.providers.hang({"half an ans"});
    const auto accepted = house.send("hi");
    session_id = accepted.ok() ? accepted.value().session_id : "";
    run_id = accepted.ok() ? accepted.value().run_id : "";
    second = std::make_unique<GatewayImpl>(
        World{house.clock, house.executor, house.ids, journal, house.providers, house.tools},
        test_options(), policy::PolicyRules());
  }
  // The first daemon changes the session.
  Task<void> rename() {
    api::RenameSessionRequest request;
    request.set_session_id(session_id);
    request.set_title("title " + std::to_string(++renamed));
    auto done = co_await house.gateway->rename_session(House::caller(), request);
    if (!done.ok()) ADD_FAILURE() << done.status().to_string();
  }
  api::Session session() {
    api::GetSessionRequest request;
    request.set_session_id(session_id);
    auto answer = house.run(second->get_session(House::caller(), request));
    return answer.ok() ? *answer : api::Session();
  }
  // As the second knows it.
  api::Run run_of(const std::string& id) {
    api::GetRunRequest request;
    request.set_run_id(id);
    auto answer = house.run(second->get_run(House::caller(), request));
    return answer.ok() ? *answer : api::Run();
  }
  House house;
  CrossedJournal journal;
  std::string session_id;
  std::string run_id;
  std::unique_ptr<GatewayImpl> second;
  int renamed = 0;
};

TEST(Takeover, ASessionThatChangedSinceItWasReadIsReadAgain) {
  Crossing two;
  two.house.providers.say({"a whole answer"});
  two.journal.before_take = [&two]() -> Task<void> {
    two.journal.before_take = nullptr;
    return two.rename();
  };
  ASSERT_TRUE(two.house.run(two.second->recover()).ok());
  EXPECT_EQ(two.renamed, 1);
  const auto run = two.run_of(two.run_id);
  EXPECT_EQ(run.state(), api::RUN_STATE_COMPLETED) << run.DebugString();
  EXPECT_EQ(run.text(), "a whole answer");
  EXPECT_EQ(two.session().title(), "title 1");
  EXPECT_EQ(two.session().turns(), 1u);
}

TEST(Takeover, ASessionThatChangesAllTheTimeIsLeftToWhoWantsItNext) {
  Crossing two;
  two.house.providers.say({"a whole answer"});
  two.journal.before_take = [&two] { return two.rename(); };
  ASSERT_TRUE(two.house.run(two.second->recover()).ok());
  EXPECT_EQ(two.renamed, 4);
  EXPECT_EQ(two.run_of(two.run_id).state(), api::RUN_STATE_RUNNING);
  two.journal.before_take = nullptr;
  const auto next =
      two.house.run(two.second->start_run(House::caller(), House::say("go on", two.session_id)));
  ASSERT_TRUE(next.ok()) << next.status().to_string();
  EXPECT_EQ(two.run_of(two.run_id).text(), "a whole answer");
  EXPECT_EQ(two.run_of(next.value().run_id).text(), "echo: go on");
}

TEST(Takeover, AMessageThatCameAfterTheRunsWereListedIsAnswered) {
  Crossing two;
  std::string second_run;
  two.journal.behind_list = [&]() -> Task<void> {
    two.journal.behind_list = nullptr;
    auto accepted =
        co_await two.house.gateway->start_run(House::caller(), House::say("late", two.session_id));
    if (accepted.ok()) second_run = accepted->run_id;
  };
  two.house.providers.say({"a whole answer"});
  ASSERT_TRUE(two.house.run(two.second->recover()).ok());
  ASSERT_NE(second_run, "");
  EXPECT_EQ(two.run_of(two.run_id).text(), "a whole answer");
  EXPECT_EQ(two.run_of(second_run).text(), "echo: late");
}

Task<void> let_others_go_on(House& house) {
  for (int i = 0; i < 100; ++i) {
    const Slot<bool> later;
    house.executor.post([later] { later.set(true); });
    co_await later;
  }
}
Task<void> recover_quietly(GatewayImpl& gateway) { static_cast<void>(co_await gateway.recover()); }

TEST(Takeover, ARunThatIsTakenUpWhileItsSessionIsDroppedGetsNoneBesideIt) {
  Crossing two;
  // The second had the session; a third has it now, and a run that hangs.
  two.house.providers.say({"a whole answer"});
  ASSERT_TRUE(two.house.run(two.second->recover()).ok());
  GatewayImpl third(World{two.house.clock, two.house.executor, two.house.ids, two.house.journal,
                          two.house.providers, two.house.tools},
                    test_options(), policy::PolicyRules());
  two.house.providers.hang({"half"});
  const auto hanging =
      two.house.run(third.start_run(House::caller(), House::say("more", two.session_id)));
  ASSERT_TRUE(hanging.ok()) << hanging.status().to_string();
  const std::string hanging_run = hanging.value().run_id;
  // A message to the second fails, because the session is the third's. While it is on its way the
  // second begins to take the run up, and has read it when the message is tried again.
  two.house.providers.say({"taken up"});
  const Slot<bool> taken;
  two.journal.before_take = [&]() -> Task<void> {
    two.journal.before_take = nullptr;
    two.house.executor.post([taken] { taken.set(true); });
    co_return;
  };
  bool sent = false;
  two.journal.before_fence = [&]() -> Task<void> {
    if (std::exchange(sent, true)) {
      co_await taken;
      co_return;
    }
    two.house.scope.spawn(recover_quietly(*two.second));
    co_await let_others_go_on(two.house);
  };
  const Slot<bool> dropped;
  bool tried_again = false;
  two.journal.before_read = [&](service::ReadRequest request) -> Task<void> {
    const bool opens = request.descending() && request.stream() == session_stream(two.session_id);
    if (opens && !std::exchange(tried_again, true)) {
      two.house.executor.post([dropped] { dropped.set(true); });
      co_await let_others_go_on(two.house);
    }
    if (request.stream() == run_stream(hanging_run) && !tried_again) co_await dropped;
  };
  const auto next =
      two.house.run(two.second->start_run(House::caller(), House::say("go on", two.session_id)));
  ASSERT_TRUE(next.ok()) << next.status().to_string();
  two.house.executor.run_until_idle();
  EXPECT_TRUE(tried_again);
  EXPECT_EQ(two.run_of(hanging_run).text(), "taken up");
  EXPECT_EQ(two.run_of(next.value().run_id).text(), "echo: go on");
  std::string seen;
  for (const auto& message : two.house.providers.requests.back().messages()) {
    seen += message.text();
  }
  EXPECT_THAT(seen, ::testing::HasSubstr("taken up")) << "one ran after the other";
}

TEST(Takeover, AStopWhileARunIsTakenUpLeavesItToTheNextStart) {
  Crossing two;
  two.house.clock.advance(60 * kNanosPerSecond);
  bool stopped = false;
  two.journal.before_read = [&](service::ReadRequest request) -> Task<void> {
    if (request.stream() != run_stream(two.run_id) || std::exchange(stopped, true)) co_return;
    co_await two.second->shutdown();
  };
  const auto before = two.house.tape_of(two.run_id).size();
  const auto answer =
      two.house.run(two.second->start_run(House::caller(), House::say("hello", two.session_id)));
  EXPECT_TRUE(stopped);
  EXPECT_EQ(answer.status().code(), Code::kUnavailable) << answer.status().to_string();
  EXPECT_EQ(two.second->load().active_runs, 0u);
  EXPECT_THAT(two.house.tape_of(two.run_id), SizeIs(before));
}

TEST(Recovery, AClockThatWasSetBackDoesNotKeepARetryWaiting) {
  House house;
  house.providers.fail(Status(Code::kUnavailable, "away", PALYRA_ERROR_RETRYABLE),
                       service::FAILURE_KIND_UNAVAILABLE);
  const auto accepted = house.send("hi");
  ASSERT_TRUE(accepted.ok());
  house.executor.run_until_idle();
  house.crash();
  house.clock.jump_wall(-86'400 * kNanosPerSecond);
  house.providers.say({"an answer"});
  house.start();
  house.advance_ms(60'000);
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_COMPLETED);
}

}  // namespace
}  // namespace palyra::gateway::testing
