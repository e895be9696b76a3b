// Messages that come while a run is active or waits: followed, collected, steered, interrupting;
// with the run's end, a crash or a full queue in the way.
#include "plugins/gateway/replay/check.h"
#include "plugins/gateway/session/testing.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <random>

namespace palyra::gateway::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kFollowUp = tape::QUEUE_MODE_FOLLOW_UP;
constexpr auto kCollect = tape::QUEUE_MODE_COLLECT;
constexpr auto kSteer = tape::QUEUE_MODE_STEER;
constexpr auto kInterrupt = tape::QUEUE_MODE_INTERRUPT;

api::FollowUp more(const std::string& text, tape::QueueMode mode, const std::string& key = "") {
  api::FollowUp request;
  request.set_text(text);
  request.set_queue_mode(mode);
  request.set_idempotency_key(key);
  return request;
}

class Talk : public House {
 public:
  using House::House;

  // The first message; its run hangs in the model after `shown`.
  void busy(const std::string& shown = "thinking", const std::string& text = "one") {
    providers.hang({shown});
    const auto accepted = send(text);
    ASSERT_TRUE(accepted.ok()) << accepted.status().to_string();
    session = accepted.value().session_id;
    first = accepted.value().run_id;
  }
  Result<AcceptedInput> say_more(const std::string& text, tape::QueueMode mode,
                                 const std::string& key = "") {
    return run(gateway->follow_up(caller(), session, more(text, mode, key)));
  }
  // "u:..", "a:..", "t:.." of the last request, without the system prompt.
  std::vector<std::string> last_request() const {
    std::vector<std::string> out;
    if (providers.requests.empty()) return out;
    for (const auto& message : providers.requests.back().messages()) {
      if (message.role() == service::ROLE_SYSTEM) continue;
      const char* who = message.role() == service::ROLE_USER        ? "u:"
                        : message.role() == service::ROLE_ASSISTANT ? "a:"
                                                                    : "t:";
      out.push_back(who + message.text());
    }
    return out;
  }
  // The loop, given the tape again, wants what it says.
  void expect_replays(const std::string& run_id) {
    api::ReadTapeRequest request;
    request.set_run_id(run_id);
    auto page = run(gateway->read_tape(caller(), request));
    ASSERT_TRUE(page.ok());
    replay::Checker checker([](std::string_view, std::string_view) { return std::string(); });
    for (const auto& entry : page->entries()) {
      tape::RunEvent event;
      ASSERT_TRUE(event.ParseFromString(entry.payload()));
      checker.add(entry.seq(), entry.time_ns(), event);
    }
    const auto report = checker.finish();
    EXPECT_EQ(report.verdict(), api::REPLAY_VERDICT_SAME) << report.DebugString();
  }
  std::vector<std::string> session_tape() {
    api::ReadTapeRequest request;
    request.set_session_id(session);
    auto answer = run(gateway->read_tape(caller(), request));
    std::vector<std::string> out;
    if (!answer.ok()) return out;
    for (const auto& entry : answer->entries()) out.push_back(entry.type());
    return out;
  }

  std::string session;
  std::string first;
};

TEST(Steer, JoinsTheActiveRunAndIsSeenInItsNextTurn) {
  Talk talk;
  talk.busy("Three files.");
  const auto steered = talk.say_more("in French", kSteer, "k");
  ASSERT_TRUE(steered.ok()) << steered.status().to_string();
  EXPECT_EQ(steered.value().run_id, talk.first);
  EXPECT_EQ(steered.value().mode, kSteer);
  EXPECT_GT(steered.value().position, 0U);
  EXPECT_EQ(talk.providers.requests.size(), 1U) << "nothing is stopped";
  const auto again = talk.say_more("in French", kSteer, "k");
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again.value().duplicate);
  EXPECT_EQ(again.value().run_id, talk.first);
  EXPECT_EQ(again.value().position, steered.value().position);
  talk.providers.say({"Trois."});
  talk.providers.release();
  talk.executor.run_until_idle();
  EXPECT_THAT(talk.last_request(), ElementsAre("u:one", "a:Three files.", "u:in French"));
  const auto run = talk.run_of(talk.first);
  EXPECT_EQ(run.state(), api::RUN_STATE_COMPLETED);
  EXPECT_EQ(run.text(), "Trois.");
  EXPECT_EQ(run.inputs_added(), 1U);
  EXPECT_THAT(talk.session_tape(), ElementsAre("session_created", "input_accepted", "input_taken",
                                               "input_accepted", "input_taken", "turn_added"));
}

TEST(Steer, IsTheSessionsModeIfTheMessageDoesNotSay) {
  Talk talk;
  talk.busy();
  api::SetQueueModeRequest request;
  request.set_session_id(talk.session);
  request.set_mode(kSteer);
  ASSERT_TRUE(talk.run(talk.gateway->set_queue_mode(House::caller(), request)).ok());
  const auto steered = talk.say_more("two", tape::QUEUE_MODE_UNSPECIFIED);
  ASSERT_TRUE(steered.ok());
  EXPECT_EQ(steered.value().run_id, talk.first);
  const auto followed = talk.say_more("three", kFollowUp);
  ASSERT_TRUE(followed.ok());
  EXPECT_NE(followed.value().run_id, talk.first);
}

TEST(Steer, AWatcherSeesTheMessageAndBothAnswers) {
  Talk talk;
  talk.busy("Three.");
  const auto watcher = talk.attach(talk.first);
  std::string shown;
  while (shown.empty()) {
    const auto event = talk.run(watcher->next());
    ASSERT_TRUE(event.has_value());
    if (event->has_model_delta()) shown += event->model_delta().text();
  }
  ASSERT_TRUE(talk.say_more("in French", kSteer).ok());
  talk.providers.say({"Trois."});
  talk.providers.release();
  for (const auto& event : talk.all(*watcher)) {
    if (event.has_model_delta()) shown += event.model_delta().text();
    if (event.has_input_added()) shown += "[" + event.input_added().text() + "]";
  }
  EXPECT_EQ(shown, "Three.[in French]Trois.");
}

TEST(Steer, OutlivesACrashRightAfterItsAcknowledgement) {
  Talk talk;
  talk.busy("Thr");
  ASSERT_TRUE(talk.say_more("in French", kSteer, "k").ok());
  talk.crash();
  talk.providers.say({"Three."});
  talk.providers.say({"Trois."});
  talk.start();
  talk.executor.run_until_idle();
  EXPECT_EQ(talk.run_of(talk.first).text(), "Trois.");
  const auto again = talk.say_more("in French", kSteer, "k");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value().run_id, talk.first);
  EXPECT_TRUE(again.value().duplicate);
}

// Whatever happens first, the message is in exactly one run, which answers it.
TEST(Steer, AtTheRaceWithTheEndOfTheRunIsNeitherLostNorTakenTwice) {
  const char* given = std::getenv("PALYRA_TEST_SEED");
  const uint64_t base = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  int joined = 0;
  int followed = 0;
  for (uint64_t seed = base; seed < base + 80; ++seed) {
    SCOPED_TRACE("PALYRA_TEST_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    Talk talk(seed);
    talk.busy("Three.");
    talk.providers.release();
    for (auto steps = random() % 12; steps > 0; --steps) talk.executor.run_one();
    const auto mode = random() % 2 == 0 ? kSteer : kInterrupt;
    auto one = talk.begin(
        talk.gateway->follow_up(House::caller(), talk.session, more("and then?", mode, "key")));
    for (auto steps = random() % 10; steps > 0; --steps) talk.executor.run_one();
    auto two = talk.begin(
        talk.gateway->follow_up(House::caller(), talk.session, more("and then?", mode, "key")));
    talk.advance_ms(10'000);
    ASSERT_TRUE(one->has_value() && two->has_value());
    ASSERT_TRUE((*one)->ok() && (*two)->ok())
        << (*one)->status().to_string() << (*two)->status().to_string();
    EXPECT_EQ((*one)->value().run_id, (*two)->value().run_id);
    EXPECT_EQ((*one)->value().duplicate + (*two)->value().duplicate, 1);
    (*one)->value().run_id == talk.first ? ++joined : ++followed;
    const auto run = talk.run_of((*one)->value().run_id);
    EXPECT_EQ(run.state(), api::RUN_STATE_COMPLETED) << run.DebugString();
    EXPECT_THAT(run.text(), HasSubstr("echo: and then?"));
    EXPECT_EQ(talk.run_of(talk.first).state(), api::RUN_STATE_COMPLETED);
    int seen = 0;
    for (const auto& message : talk.providers.requests.back().messages()) {
      if (message.role() == service::ROLE_USER && message.text() == "and then?") ++seen;
    }
    EXPECT_EQ(seen, 1);
    if (HasFailure()) return;
  }
  if (given == nullptr) {
    EXPECT_GT(joined, 5);
    EXPECT_GT(followed, 5);
  }
}

TEST(Steer, WhereverThePowerGoesAnAcknowledgedMessageIsShownOnce) {
  const char* given = std::getenv("PALYRA_TEST_SEED");
  const uint64_t base = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  for (uint64_t seed = base; seed < base + 40; ++seed) {
    SCOPED_TRACE("PALYRA_TEST_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    Talk talk(seed);
    talk.busy("Thr");
    constexpr tape::QueueMode kModes[] = {kFollowUp, kCollect, kSteer, kInterrupt};
    std::map<std::string, std::string> run_of_text;
    for (int i = 0; i < 4; ++i) {
      const std::string text = "message " + std::to_string(i);
      const auto mode = kModes[random() % 4];
      if (random() % 3 == 0) talk.providers.release();
      auto answer = talk.begin(talk.gateway->follow_up(
          House::caller(), talk.session, more(text, mode, "key " + std::to_string(i))));
      for (auto steps = random() % 30; steps > 0; --steps) talk.executor.run_one();
      if (answer->has_value() && (*answer)->ok()) run_of_text[text] = (*answer)->value().run_id;
      answer.reset();
      talk.crash();
      if (random() % 2 == 0) talk.providers.hang({"part"});
      talk.start();
      ASSERT_TRUE(talk.recovered.ok()) << talk.recovered.to_string();
      const auto again = talk.say_more(text, mode, "key " + std::to_string(i));
      ASSERT_TRUE(again.ok()) << again.status().to_string();
      if (run_of_text.count(text) != 0) {
        EXPECT_EQ(run_of_text[text], again.value().run_id);
      }
      run_of_text[text] = again.value().run_id;
    }
    talk.providers.script.clear();
    talk.providers.release();
    talk.advance_ms(60'000);
    // The last request of the session's last run holds its whole history.
    ASSERT_TRUE(talk.say_more("last", kFollowUp).ok());
    talk.advance_ms(60'000);
    std::string all;
    for (const auto& line : talk.last_request()) {
      if (line[0] == 'u') all += line + "\n";
    }
    for (const auto& [text, run_id] : run_of_text) {
      const auto run = talk.run_of(run_id);
      EXPECT_EQ(run.state(), api::RUN_STATE_COMPLETED) << run.DebugString();
      const size_t at = all.find(text);
      EXPECT_NE(at, std::string::npos) << text << " is lost:\n" << all;
      EXPECT_EQ(all.find(text, at + 1), std::string::npos) << text << " is there twice:\n" << all;
      talk.expect_replays(run_id);
    }
    if (HasFailure()) return;
  }
}

TEST(Steer, BehindACancelIsARunOfItsOwnAndBeforeItGoesWithTheRun) {
  Talk talk;
  talk.providers.stubborn = true;
  talk.busy();
  ASSERT_TRUE(talk.say_more("before", kSteer).ok());
  api::CancelRunRequest cancel;
  cancel.set_run_id(talk.first);
  ASSERT_TRUE(talk.run(talk.gateway->cancel_run(House::caller(), cancel)).ok());
  const auto after = talk.say_more("after", kSteer);
  ASSERT_TRUE(after.ok()) << after.status().to_string();
  EXPECT_NE(after.value().run_id, talk.first);
  EXPECT_EQ(after.value().mode, kFollowUp);
  talk.providers.stubborn = false;
  talk.advance_ms(6'000);
  EXPECT_EQ(talk.run_of(talk.first).state(), api::RUN_STATE_CANCELLED);
  EXPECT_THAT(talk.tape_of(talk.first), Contains("input_added"));
  EXPECT_EQ(talk.run_of(after.value().run_id).text(), "echo: after");
}

TEST(Steer, AsManyMessagesJoinARunAsMay) {
  Talk talk;
  talk.busy();
  for (int i = 0; i < 32; ++i) {
    ASSERT_TRUE(talk.say_more("m" + std::to_string(i), kSteer).ok());
  }
  const auto refused = talk.say_more("too much", kSteer);
  EXPECT_EQ(refused.status().code(), Code::kResourceExhausted);
  EXPECT_TRUE(refused.status().retryable());
  EXPECT_TRUE(talk.say_more("behind it", kFollowUp).ok());
  Talk other;
  other.busy();
  ASSERT_TRUE(other.say_more(std::string(1024 * 1024, 'x'), kSteer).ok());
  EXPECT_EQ(other.say_more("y", kSteer).status().code(), Code::kResourceExhausted);
}

TEST(Steer, ThatAsksForSomethingElseThanTheRunHasIsARunOfItsOwn) {
  Talk talk;
  talk.busy();
  auto request = House::say("two", talk.session);
  request.set_queue_mode(kSteer);
  request.set_model("fake/other");
  const auto other_model = talk.run(talk.gateway->start_run(House::caller(), request));
  ASSERT_TRUE(other_model.ok()) << other_model.status().to_string();
  EXPECT_NE(other_model.value().run_id, talk.first);
  // The policy judges a run by the channel that it came from.
  Caller elsewhere = House::caller();
  elsewhere.channel = "channel:chat:room";
  const auto foreign =
      talk.run(talk.gateway->follow_up(elsewhere, talk.session, more("do as I say", kSteer)));
  ASSERT_TRUE(foreign.ok());
  EXPECT_NE(foreign.value().run_id, talk.first);
  Caller operator_ = House::caller("user:root");
  operator_.scopes.insert("admin");
  const auto admin = talk.run(talk.gateway->follow_up(operator_, talk.session, more("hm", kSteer)));
  ASSERT_TRUE(admin.ok());
  EXPECT_NE(admin.value().run_id, talk.first);
}

TEST(Steer, WithoutAnActiveRunStartsOne) {
  for (const auto mode : {kFollowUp, kCollect, kSteer, kInterrupt}) {
    Talk talk;
    auto request = House::say("hi");
    request.set_queue_mode(mode);
    const auto accepted = talk.run(talk.gateway->start_run(House::caller(), request));
    ASSERT_TRUE(accepted.ok());
    talk.executor.run_until_idle();
    EXPECT_EQ(talk.run_of(accepted.value().run_id).text(), "echo: hi");
  }
}

TEST(Steer, OnAFullDiskIsRefusedAndTheRunGoesOn) {
  Talk talk;
  talk.busy("Three.");
  talk.store.refuse_writes(Status(Code::kResourceExhausted, "disk full"));
  EXPECT_EQ(talk.say_more("two", kSteer, "k").status().code(), Code::kResourceExhausted);
  talk.store.refuse_writes(Status());
  ASSERT_TRUE(talk.say_more("two", kSteer, "k").ok());
  talk.providers.release();
  talk.executor.run_until_idle();
  EXPECT_EQ(talk.run_of(talk.first).text(), "echo: two");
  EXPECT_EQ(talk.run_of(talk.first).inputs_added(), 1U);
}

TEST(Interrupt, StopsTheModelAndKeepsWhatItHadSaid) {
  Talk talk;
  talk.busy("There are thr");
  const auto watcher = talk.attach(talk.first);
  talk.providers.say({"Trois."});
  const auto accepted = talk.say_more("in French", kInterrupt);
  ASSERT_TRUE(accepted.ok());
  EXPECT_EQ(accepted.value().run_id, talk.first);
  talk.executor.run_until_idle();
  EXPECT_THAT(talk.last_request(),
              ElementsAre("u:one", "a:There are thr\n(Cut off here by the message that follows.)",
                          "u:in French"));
  EXPECT_EQ(talk.run_of(talk.first).text(), "Trois.");
  std::string shown;
  for (const auto& event : talk.all(*watcher)) {
    if (event.has_model_delta()) shown += event.model_delta().text() + "|";
  }
  EXPECT_EQ(shown, "There are thr|Trois.|");
  shown.clear();
  for (const auto& event : talk.all(*talk.attach(talk.first))) {
    if (event.has_model_delta()) shown += event.model_delta().text() + "|";
  }
  EXPECT_EQ(shown, "There are thr|Trois.|") << "who comes later sees the same";
}

TEST(Interrupt, OfAModelThatDoesNotHearCutsItOffAfterTheGraceAndIgnoresTheRest) {
  Talk talk;
  talk.providers.stubborn = true;
  talk.busy("There are");
  ASSERT_TRUE(talk.say_more("stop", kInterrupt).ok());
  talk.advance_ms(4'000);
  EXPECT_EQ(talk.providers.requests.size(), 1U);
  talk.providers.hang({"Yes"});
  talk.advance_ms(1'500);
  EXPECT_EQ(talk.providers.requests.size(), 2U);
  talk.providers.release();
  talk.executor.run_until_idle();
  EXPECT_EQ(talk.run_of(talk.first).text(), "Yes");
}

TEST(Interrupt, TwiceShowsBothMessages) {
  Talk talk;
  talk.busy("a");
  talk.providers.hang({"b"});
  ASSERT_TRUE(talk.say_more("two", kInterrupt).ok());
  talk.executor.run_until_idle();
  ASSERT_TRUE(talk.say_more("three", kInterrupt).ok());
  talk.executor.run_until_idle();
  const auto run = talk.run_of(talk.first);
  EXPECT_EQ(run.text(), "echo: three");
  EXPECT_EQ(run.inputs_added(), 2U);
  const auto seen = talk.last_request();
  ASSERT_EQ(seen.size(), 5U);
  EXPECT_EQ(seen[2], "u:two");
  EXPECT_EQ(seen[4], "u:three");
}

TEST(Interrupt, DuringAnOpaqueToolReportsAnUnknownOutcomeAndNeverRepeatsIt) {
  policy::PolicyRules rules;
  rules.write_default = tape::VERDICT_ALLOW;
  Talk talk(0, test_options(), rules);
  talk.tools.add_text("sh", service::TOOL_ACCESS_WRITE, palyra::common::v1::EFFECT_CLASS_OPAQUE,
                      "done");
  talk.tools.hang = true;
  talk.providers.call("sh", "{}");
  const auto accepted = talk.send("do it");
  ASSERT_TRUE(accepted.ok());
  talk.session = accepted.value().session_id;
  talk.executor.run_until_idle();
  ASSERT_EQ(talk.tools.invoked.size(), 1U);
  ASSERT_TRUE(talk.say_more("never mind", kInterrupt).ok());
  talk.executor.run_until_idle();
  EXPECT_EQ(talk.tools.invoked.size(), 1U);
  EXPECT_THAT(talk.tape_of(accepted.value().run_id), Contains("tool_call_unknown"));
  const auto seen = talk.last_request();
  ASSERT_EQ(seen.size(), 4U);
  talk.expect_replays(accepted.value().run_id);
  EXPECT_THAT(seen[2], HasSubstr("not known whether this call took effect"));
  EXPECT_EQ(seen[3], "u:never mind");
  EXPECT_EQ(talk.run_of(accepted.value().run_id).state(), api::RUN_STATE_COMPLETED);
}

TEST(Interrupt, ClosesAPendingQuestionForEverybody) {
  policy::PolicyRules rules;
  rules.write_default = tape::VERDICT_ASK;
  Talk talk(0, test_options(), rules);
  talk.tools.add_text("fs.write", service::TOOL_ACCESS_WRITE,
                      palyra::common::v1::EFFECT_CLASS_OPAQUE, "done");
  talk.providers.call("fs.write", "{}");
  const auto accepted = talk.send("do it");
  talk.session = accepted.value().session_id;
  talk.executor.run_until_idle();
  const auto pending = talk.pending();
  ASSERT_EQ(pending.size(), 1U);
  const std::string id = pending[0].request().approval_id();
  // Somebody allows it in the same moment: too late, whichever is heard first.
  auto steered = talk.begin(
      talk.gateway->follow_up(House::caller(), talk.session, more("never mind", kInterrupt)));
  talk.executor.run_until_idle();
  ASSERT_TRUE((*steered)->ok());
  EXPECT_EQ(talk.decide(id, tape::APPROVAL_VERDICT_ALLOW).status().code(),
            Code::kFailedPrecondition);
  EXPECT_TRUE(talk.pending().empty());
  EXPECT_TRUE(talk.tools.invoked.empty());
  const auto seen = talk.last_request();
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_THAT(seen[2], HasSubstr("not made"));
  EXPECT_EQ(seen[3], "u:never mind");
  talk.advance_ms(1'000'000);
  talk.expect_replays(accepted.value().run_id);
  EXPECT_EQ(talk.run_of(accepted.value().run_id).state(), api::RUN_STATE_COMPLETED);
}

// Says more and then watches the run from its beginning to its end, as the command line does.
Task<void> interrupt_and_watch(Talk& talk, std::string run_id, std::vector<api::RunState>* states) {
  auto accepted = co_await talk.gateway->follow_up(House::caller(), talk.session,
                                                   more("never mind", kInterrupt));
  if (!accepted.ok()) co_return;
  api::RunAttach attach;
  attach.set_run_id(run_id);
  auto watched = co_await talk.gateway->attach(House::caller(), attach);
  if (!watched.ok()) co_return;
  for (;;) {
    auto event = co_await (*watched)->next();
    if (!event) co_return;
    if (event->has_status()) states->push_back(event->status().state());
  }
}

TEST(Interrupt, OfARunThatWaitsIsNotToldThatItWaits) {
  for (const bool for_a_retry : {false, true}) {
    policy::PolicyRules rules;
    rules.write_default = tape::VERDICT_ASK;
    Talk talk(0, test_options(), rules);
    talk.tools.add_text("fs.write", service::TOOL_ACCESS_WRITE,
                        palyra::common::v1::EFFECT_CLASS_OPAQUE, "done");
    if (for_a_retry) {
      talk.providers.fail(Status(Code::kUnavailable, "away"), service::FAILURE_KIND_UNAVAILABLE);
    } else {
      talk.providers.call("fs.write", "{}");
    }
    const auto accepted = talk.send("do it");
    talk.session = accepted.value().session_id;
    const std::string run = accepted.value().run_id;
    ASSERT_EQ(talk.run_of(run).state(), api::RUN_STATE_WAITING);
    std::vector<api::RunState> states;
    talk.scope.spawn(interrupt_and_watch(talk, run, &states));
    talk.executor.run_until_idle();
    EXPECT_THAT(states, ElementsAre(api::RUN_STATE_QUEUED, api::RUN_STATE_RUNNING,
                                    api::RUN_STATE_COMPLETED));
    EXPECT_EQ(talk.run_of(run).state(), api::RUN_STATE_COMPLETED);
    talk.expect_replays(run);
  }
}

TEST(Collect, ManyMessagesBehindABusyRunAreAnsweredTogether) {
  Talk talk;
  talk.busy("Three.");
  const auto two = talk.say_more("two", kCollect, "k2");
  const auto three = talk.say_more("three", kCollect, "k3");
  ASSERT_TRUE(two.ok() && three.ok());
  EXPECT_EQ(two.value().run_id, three.value().run_id);
  EXPECT_NE(two.value().run_id, talk.first);
  EXPECT_EQ(talk.run_of(two.value().run_id).state(), api::RUN_STATE_QUEUED);
  EXPECT_EQ(talk.run_of(two.value().run_id).inputs_added(), 1U);
  const auto follow = talk.say_more("four", kFollowUp);
  const auto five = talk.say_more("five", kCollect);
  EXPECT_NE(follow.value().run_id, two.value().run_id);
  EXPECT_NE(five.value().run_id, two.value().run_id) << "only the newest that waits is joined";
  const auto again = talk.say_more("three", kCollect, "k3");
  EXPECT_TRUE(again.value().duplicate);
  EXPECT_EQ(again.value().run_id, three.value().run_id);
  EXPECT_EQ(again.value().position, three.value().position);
  talk.providers.release();
  talk.executor.run_until_idle();
  EXPECT_EQ(talk.run_of(two.value().run_id).text(), "echo: two\n\nthree");
  EXPECT_EQ(talk.run_of(five.value().run_id).text(), "echo: five");
}

TEST(Collect, GoesOnJoiningAfterACrash) {
  Talk talk;
  talk.busy();
  const auto two = talk.say_more("two", kCollect);
  talk.crash();
  talk.providers.hang({"thinking"});
  talk.start();
  const auto three = talk.say_more("three", kCollect);
  ASSERT_TRUE(two.ok() && three.ok());
  EXPECT_EQ(two.value().run_id, three.value().run_id);
  talk.providers.release();
  talk.executor.run_until_idle();
  EXPECT_EQ(talk.run_of(two.value().run_id).text(), "echo: two\n\nthree");
}

TEST(Collect, NeedsNoPlaceInAFullQueueAndAFullRunIsFollowedByAnother) {
  Options options = test_options();
  options.queue_depth = 1;
  Talk talk(0, options);
  talk.busy();
  const auto two = talk.say_more("two", kCollect);
  ASSERT_TRUE(two.ok());
  EXPECT_EQ(talk.say_more("three", kFollowUp).status().code(), Code::kResourceExhausted);
  for (int i = 0; i < 32; ++i) {
    const auto next = talk.say_more("m" + std::to_string(i), kCollect);
    ASSERT_TRUE(next.ok()) << next.status().to_string();
    EXPECT_EQ(next.value().run_id, two.value().run_id);
  }
  const auto full = talk.say_more("too much", kCollect);
  EXPECT_EQ(full.status().code(), Code::kResourceExhausted);
  EXPECT_TRUE(full.status().retryable());
}

TEST(Collect, ACancelledRunDropsAllItsMessages) {
  Talk talk;
  talk.busy();
  const auto two = talk.say_more("two", kCollect);
  ASSERT_TRUE(talk.say_more("three", kCollect).ok());
  api::CancelRunRequest cancel;
  cancel.set_run_id(two.value().run_id);
  ASSERT_TRUE(talk.run(talk.gateway->cancel_run(House::caller(), cancel)).ok());
  const auto tape = talk.session_tape();
  EXPECT_EQ(std::count(tape.begin(), tape.end(), "input_dropped"), 2);
}

}  // namespace
}  // namespace palyra::gateway::testing
