// Tools under a policy: proposals, approvals, execution, and what a crash leaves of them.
#include "plugins/gateway/session/testing.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace palyra::gateway::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

namespace effect = palyra::common::v1;
constexpr auto kRead = service::TOOL_ACCESS_READ;
constexpr auto kWrite = service::TOOL_ACCESS_WRITE;

std::string last_prompt(const House& house) {
  std::string out;
  for (const auto& message : house.providers.requests.back().messages()) {
    out += message.text() + "|";
  }
  return out;
}

TEST(ToolsOfARun, AReadRunsWithoutAskingAndTheModelGetsItsResult) {
  House house;
  house.tools.add_text("fs.read", kRead, effect::EFFECT_CLASS_NONE, "forty-two");
  house.providers.call("fs.read", R"({"path":"a"})");
  house.providers.say({"It says forty-two."});
  const auto accepted = house.send("read a");
  ASSERT_TRUE(accepted.ok());
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_COMPLETED);
  ASSERT_THAT(house.tools.invoked, SizeIs(1));
  EXPECT_EQ(house.tools.invoked[0].arguments_json(), R"({"path":"a"})");
  EXPECT_THAT(last_prompt(house), HasSubstr("forty-two"));
}

TEST(ToolsOfARun, AToolThatIsNotThereAndWrongArgumentsAreToldToTheModel) {
  House house;
  house.tools.add_text("fs.read", kRead, effect::EFFECT_CLASS_NONE, "x");
  house.providers.call("fs.reed", "{}");
  house.providers.call("fs.read", "[1]");
  house.providers.say({"Sorry."});
  const auto accepted = house.send("read a");
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_COMPLETED);
  EXPECT_THAT(house.tools.invoked, IsEmpty());
  EXPECT_THAT(last_prompt(house), HasSubstr("there is no tool"));
  EXPECT_THAT(last_prompt(house), HasSubstr("do not fit its schema"));
}

TEST(ToolsOfARun, AWriteWaitsForAnApproval) {
  House house;
  house.tools.add_text("fs.write", kWrite, effect::EFFECT_CLASS_IDEMPOTENT, "written");
  house.providers.call("fs.write", R"({"path":"a"})");
  house.providers.say({"Done."});
  const auto accepted = house.send("write a");
  house.executor.run_until_idle();
  const std::string run_id = accepted.value().run_id;
  auto run = house.run_of(run_id);
  EXPECT_EQ(run.state(), api::RUN_STATE_WAITING);
  EXPECT_EQ(run.wait_reason(), api::WAIT_REASON_APPROVAL);
  EXPECT_THAT(house.tools.invoked, IsEmpty());
  const auto pending = house.pending();
  ASSERT_THAT(pending, SizeIs(1));
  EXPECT_EQ(pending[0].request().tool(), "fs.write");
  const std::string id = pending[0].request().approval_id();
  const auto decided = house.decide(id, tape::APPROVAL_VERDICT_ALLOW);
  ASSERT_TRUE(decided.ok()) << decided.status().to_string();
  EXPECT_EQ(decided.value().decision().decided_by(), "user:ann");
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(run_id).state(), api::RUN_STATE_COMPLETED);
  EXPECT_THAT(house.tools.invoked, SizeIs(1));
  EXPECT_THAT(house.pending(), IsEmpty());
  const auto again = house.decide(id, tape::APPROVAL_VERDICT_DENY);
  EXPECT_EQ(again.status().code(), Code::kFailedPrecondition);
  EXPECT_THAT(again.status().message(), HasSubstr("user:ann"));
  EXPECT_EQ(
      house.decide("01ARZ3NDEKTSV4RRFFQ69G5FAV", tape::APPROVAL_VERDICT_ALLOW).status().code(),
      Code::kNotFound);
}

// Who is told that an approval was decided relies on it as much as who decided it.
TEST(ToolsOfARun, NobodyHearsOfADecisionBeforeItIsDurable) {
  House house;
  house.tools.add_text("fs.write", kWrite, effect::EFFECT_CLASS_IDEMPOTENT, "written");
  house.providers.call("fs.write", R"({"path":"a"})");
  house.providers.say({"Done."});
  ASSERT_TRUE(house.send("write a").ok());
  house.executor.run_until_idle();
  api::ApprovalDecision request;
  request.set_approval_id(house.pending().at(0).request().approval_id());
  request.set_verdict(tape::APPROVAL_VERDICT_ALLOW);
  house.store.refuse_writes(Status(Code::kUnavailable, "the disk is away"));
  const auto first = house.begin(house.gateway->decide_approval(House::caller(), request));
  house.executor.run_until_idle();
  const auto second = house.begin(house.gateway->decide_approval(House::caller(), request));
  house.executor.run_until_idle();
  EXPECT_FALSE(first->has_value());
  EXPECT_FALSE(second->has_value());
  house.store.refuse_writes(Status());
  house.advance_ms(10'000);
  house.executor.run_until_idle();
  ASSERT_TRUE(first->has_value() && second->has_value());
  EXPECT_TRUE((*first)->ok());
  EXPECT_EQ((*second)->status().code(), Code::kFailedPrecondition);
}

TEST(ToolsOfARun, ADenialAndAnExpiryAreToldToTheModel) {
  House house;
  house.tools.add_text("fs.write", kWrite, effect::EFFECT_CLASS_IDEMPOTENT, "written");
  house.providers.call("fs.write", R"({"path":"a"})");
  house.providers.call("fs.write", R"({"path":"b"})");
  house.providers.say({"I may not."});
  const auto accepted = house.send("write a");
  house.executor.run_until_idle();
  ASSERT_THAT(house.pending(), SizeIs(1));
  ASSERT_TRUE(
      house.decide(house.pending()[0].request().approval_id(), tape::APPROVAL_VERDICT_DENY).ok());
  house.executor.run_until_idle();
  ASSERT_THAT(house.pending(), SizeIs(1));
  house.advance_ms(900'001);
  EXPECT_THAT(house.pending(), IsEmpty());
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_COMPLETED)
      << house.run_of(accepted.value().run_id).DebugString();
  EXPECT_THAT(house.tools.invoked, IsEmpty());
}

TEST(ToolsOfARun, ASessionApprovalHoldsUntilTheSessionIsReset) {
  House house;
  house.tools.add_text("fs.write", kWrite, effect::EFFECT_CLASS_IDEMPOTENT, "written");
  const auto write = [&house](const std::string& path, const std::string& session) {
    house.providers.call("fs.write", R"({"path":")" + path + R"("})");
    house.providers.say({"Done."});
    auto accepted = house.send("write " + path, session);
    house.executor.run_until_idle();
    return accepted.value();
  };
  const auto first = write("a", "");
  ASSERT_THAT(house.pending(), SizeIs(1));
  ASSERT_TRUE(house
                  .decide(house.pending()[0].request().approval_id(), tape::APPROVAL_VERDICT_ALLOW,
                          tape::APPROVAL_SCOPE_SESSION)
                  .ok());
  house.executor.run_until_idle();
  const auto second = write("b", first.session_id);
  EXPECT_THAT(house.pending(), IsEmpty());
  EXPECT_EQ(house.run_of(second.run_id).state(), api::RUN_STATE_COMPLETED);
  write("c", "");
  EXPECT_THAT(house.pending(), SizeIs(1)) << "another session is not covered";
  api::ResetSessionRequest reset;
  reset.set_session_id(first.session_id);
  ASSERT_TRUE(house.run(house.gateway->reset_session(House::caller(), reset)).ok());
  house.providers.script.clear();
  write("d", first.session_id);
  EXPECT_THAT(house.pending(), SizeIs(2)) << "a reset ends what was approved for the session";
}

TEST(ToolsOfARun, ATimeboxedApprovalEndsByItself) {
  House house;
  house.tools.add_text("fs.write", kWrite, effect::EFFECT_CLASS_IDEMPOTENT, "written");
  house.providers.call("fs.write", R"({"path":"a"})");
  house.providers.say({"Done."});
  const auto first = house.send("write a");
  house.executor.run_until_idle();
  ASSERT_TRUE(house
                  .decide(house.pending()[0].request().approval_id(), tape::APPROVAL_VERDICT_ALLOW,
                          tape::APPROVAL_SCOPE_TIMEBOXED, 60)
                  .ok());
  house.executor.run_until_idle();
  house.providers.call("fs.write", R"({"path":"b"})");
  house.providers.say({"Done."});
  ASSERT_TRUE(house.send("write b", first.value().session_id).ok());
  house.executor.run_until_idle();
  EXPECT_THAT(house.pending(), IsEmpty());
  house.advance_ms(61'000);
  house.providers.call("fs.write", R"({"path":"c"})");
  house.providers.say({"Done."});
  ASSERT_TRUE(house.send("write c", first.value().session_id).ok());
  house.executor.run_until_idle();
  EXPECT_THAT(house.pending(), SizeIs(1));
}

TEST(ToolsOfARun, CancellingWhileAnApprovalIsAskedClosesIt) {
  House house;
  house.tools.add_text("fs.write", kWrite, effect::EFFECT_CLASS_IDEMPOTENT, "written");
  house.providers.call("fs.write", "{}");
  const auto accepted = house.send("write a");
  house.executor.run_until_idle();
  ASSERT_THAT(house.pending(), SizeIs(1));
  const std::string id = house.pending()[0].request().approval_id();
  api::CancelRunRequest request;
  request.set_run_id(accepted.value().run_id);
  ASSERT_TRUE(house.run(house.gateway->cancel_run(House::caller(), request)).ok());
  house.advance_ms(6'000);
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_CANCELLED);
  EXPECT_THAT(house.pending(), IsEmpty());
  EXPECT_EQ(house.decide(id, tape::APPROVAL_VERDICT_ALLOW).status().code(),
            Code::kFailedPrecondition);
  EXPECT_THAT(house.tools.invoked, IsEmpty());
}

TEST(ToolsOfARun, WhoMayNotDecideIsRefused) {
  House house;
  house.tools.add_text("fs.write", kWrite, effect::EFFECT_CLASS_IDEMPOTENT, "written");
  house.providers.call("fs.write", "{}");
  ASSERT_TRUE(house.send("write a").ok());
  house.executor.run_until_idle();
  api::ApprovalDecision request;
  request.set_approval_id(house.pending()[0].request().approval_id());
  request.set_verdict(tape::APPROVAL_VERDICT_ALLOW);
  Caller reader = House::caller();
  reader.scopes = {"runs.read"};
  EXPECT_EQ(house.run(house.gateway->decide_approval(reader, request)).status().code(),
            Code::kPermissionDenied);
  EXPECT_EQ(
      house.run(house.gateway->decide_approval(House::caller("user:bob"), request)).status().code(),
      Code::kPermissionDenied);
  EXPECT_THAT(house.pending(), SizeIs(1));
}

TEST(ToolsOfARun, ALargeResultIsSpilledAndItsBeginningStaysInline) {
  House house;
  house.tools.add_text("fs.read", kRead, effect::EFFECT_CLASS_NONE, std::string(200'000, 'x'));
  house.providers.call("fs.read", "{}");
  house.providers.say({"Long."});
  const auto accepted = house.send("read a");
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_COMPLETED);
  api::ReadTapeRequest request;
  request.set_run_id(accepted.value().run_id);
  const auto page = house.run(house.gateway->read_tape(House::caller(), request));
  ASSERT_TRUE(page.ok());
  bool found = false;
  for (const auto& entry : page.value().entries()) {
    tape::RunEvent event;
    ASSERT_TRUE(event.ParseFromString(entry.payload()));
    if (!event.has_tool_call_finished()) continue;
    found = true;
    const auto& finished = event.tool_call_finished();
    EXPECT_EQ(finished.content().size(), 65'536u);
    EXPECT_EQ(finished.content_size(), 200'000);
    const auto blob = house.run(house.journal.get_blob(finished.blob_digest()));
    ASSERT_TRUE(blob.ok());
    EXPECT_EQ(blob.value().size(), 200'000u);
  }
  EXPECT_TRUE(found);
}

TEST(ToolsOfARun, AnApprovalSurvivesACrash) {
  House house;
  house.tools.add_text("fs.write", kWrite, effect::EFFECT_CLASS_IDEMPOTENT, "written");
  house.providers.call("fs.write", "{}");
  house.providers.say({"Done."});
  const auto accepted = house.send("write a");
  house.executor.run_until_idle();
  const std::string id = house.pending()[0].request().approval_id();
  house.crash();
  house.start();
  ASSERT_TRUE(house.recovered.ok()) << house.recovered.to_string();
  ASSERT_THAT(house.pending(), SizeIs(1));
  const auto decided = house.decide(id, tape::APPROVAL_VERDICT_ALLOW);
  ASSERT_TRUE(decided.ok()) << decided.status().to_string();
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_COMPLETED);
  EXPECT_THAT(house.tools.invoked, SizeIs(1));
}

// A house whose policy asks before every write, and one session that writes.
class Scribe : public House {
 public:
  explicit Scribe(uint64_t seed = 0) : House(seed) {
    tools.add_text("fs.write", kWrite, effect::EFFECT_CLASS_OPAQUE, "written");
  }
  void write(const std::string& path) {
    providers.script.clear();
    providers.call("fs.write", R"({"path":")" + path + R"("})");
    providers.say({"Done."});
    const auto accepted = send("write " + path, session);
    ASSERT_TRUE(accepted.ok()) << accepted.status().to_string();
    session = accepted.value().session_id;
    executor.run_until_idle();
  }
  void allow(tape::ApprovalScope scope_, uint32_t seconds = 0) {
    ASSERT_THAT(pending(), SizeIs(1));
    const auto decided =
        decide(pending()[0].request().approval_id(), tape::APPROVAL_VERDICT_ALLOW, scope_, seconds);
    ASSERT_TRUE(decided.ok()) << decided.status().to_string();
    executor.run_until_idle();
  }
  void restart() {
    crash();
    start();
    ASSERT_TRUE(recovered.ok()) << recovered.to_string();
  }
  std::string session;
};

TEST(ToolsOfARun, ASessionApprovalOutlivesACrashAndNotTheReset) {
  Scribe scribe;
  scribe.write("a");
  scribe.allow(tape::APPROVAL_SCOPE_SESSION);
  scribe.restart();
  scribe.write("b");
  EXPECT_THAT(scribe.pending(), IsEmpty());
  EXPECT_THAT(scribe.tools.invoked, SizeIs(2));
  api::ResetSessionRequest reset;
  reset.set_session_id(scribe.session);
  ASSERT_TRUE(scribe.run(scribe.gateway->reset_session(House::caller(), reset)).ok());
  scribe.restart();
  scribe.write("c");
  EXPECT_THAT(scribe.pending(), SizeIs(1)) << "a reset is not undone by a crash";
  EXPECT_THAT(scribe.tools.invoked, SizeIs(2));
}

TEST(ToolsOfARun, AnApprovalThatOutlivedACrashHoldsForItsVeryRuleOnly) {
  Scribe scribe;
  scribe.write("a");
  scribe.allow(tape::APPROVAL_SCOPE_SESSION);
  scribe.restart();
  policy::PolicyRules other;
  policy::Rule rule;
  rule.tools = {"fs.write"};
  rule.verdict = tape::VERDICT_ASK;
  other.rules.push_back(rule);
  scribe.gateway->set_policy(other);
  scribe.write("b");
  EXPECT_THAT(scribe.pending(), SizeIs(1));
}

TEST(ToolsOfARun, ATimeboxedApprovalOutlivesACrashUntilItsTime) {
  Scribe scribe;
  scribe.write("a");
  scribe.allow(tape::APPROVAL_SCOPE_TIMEBOXED, 60);
  scribe.restart();
  scribe.write("b");
  EXPECT_THAT(scribe.pending(), IsEmpty());
  scribe.clock.advance(61 * kNanosPerSecond);
  scribe.restart();
  scribe.write("c");
  EXPECT_THAT(scribe.pending(), SizeIs(1));
}

TEST(ToolsOfARun, AnApprovalForOneActionIsNeverUsedTwiceWhereverThePowerGoes) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    Scribe scribe(seed);
    scribe.write("a");
    const auto pending = scribe.pending();
    ASSERT_THAT(pending, SizeIs(1));
    api::ApprovalDecision allow;
    allow.set_approval_id(pending[0].request().approval_id());
    allow.set_verdict(tape::APPROVAL_VERDICT_ALLOW);
    auto one = scribe.begin(scribe.gateway->decide_approval(House::caller(), allow));
    auto two = scribe.begin(scribe.gateway->decide_approval(House::caller(), allow));
    for (auto steps = random() % 20; steps > 0; --steps) scribe.executor.run_one();
    one.reset();
    two.reset();
    scribe.restart();
    scribe.executor.run_until_idle();
    auto again = scribe.begin(scribe.gateway->decide_approval(House::caller(), allow));
    scribe.executor.run_until_idle();
    ASSERT_TRUE(again->has_value());
    scribe.restart();
    scribe.executor.run_until_idle();
    EXPECT_LE(scribe.tools.invoked.size(), 1u);
    const size_t before = scribe.tools.invoked.size();
    scribe.write("a");
    EXPECT_THAT(scribe.pending(), SizeIs(1)) << "the same action is asked for again";
    EXPECT_EQ(scribe.tools.invoked.size(), before);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(ToolsOfARun, AnOpaqueCallThatACrashCutOffIsNotRepeated) {
  policy::PolicyRules rules;
  rules.write_default = tape::VERDICT_ALLOW;
  House house(0, test_options(), rules);
  house.tools.add_text("process.run", kWrite, effect::EFFECT_CLASS_OPAQUE, "ran");
  house.tools.hang = true;
  house.providers.call("process.run", "{}");
  house.providers.say({"It may have run."});
  const auto accepted = house.send("run it");
  house.executor.run_until_idle();
  ASSERT_THAT(house.tools.invoked, SizeIs(1));
  house.crash();
  house.start();
  house.executor.run_until_idle();
  EXPECT_THAT(house.tools.invoked, SizeIs(1));
  EXPECT_THAT(house.tape_of(accepted.value().run_id), Contains("tool_call_unknown"));
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_COMPLETED);
}

TEST(ToolsOfARun, AKeyedCallThatACrashCutOffIsRepeatedWithItsKey) {
  policy::PolicyRules rules;
  rules.write_default = tape::VERDICT_ALLOW;
  House house(0, test_options(), rules);
  house.tools.add_text("mail.send", kWrite, effect::EFFECT_CLASS_KEYED, "sent");
  house.tools.hang = true;
  house.providers.call("mail.send", "{}");
  house.providers.say({"Sent."});
  const auto accepted = house.send("mail it");
  house.executor.run_until_idle();
  house.crash();
  house.tools.hang = false;
  house.start();
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_COMPLETED);
  ASSERT_THAT(house.tools.invoked, SizeIs(2));
  EXPECT_EQ(house.tools.invoked[0].idempotency_key(), house.tools.invoked[1].idempotency_key());
  EXPECT_EQ(house.tools.invoked[1].attempt(), 2u);
}

TEST(ToolsOfARun, AVerifiableCallThatACrashCutOffIsAskedAbout) {
  policy::PolicyRules rules;
  rules.write_default = tape::VERDICT_ALLOW;
  House house(0, test_options(), rules);
  house.tools.add_text("fs.write", kWrite, effect::EFFECT_CLASS_VERIFIABLE, "written");
  house.tools.hang = true;
  house.tools.verified.set_outcome(service::CALL_OUTCOME_HAPPENED);
  house.tools.verified.mutable_result()->set_content("written before");
  house.providers.call("fs.write", "{}");
  house.providers.say({"Done."});
  const auto accepted = house.send("write it");
  house.executor.run_until_idle();
  house.crash();
  house.start();
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_COMPLETED);
  EXPECT_THAT(house.tools.invoked, SizeIs(1));
  EXPECT_THAT(last_prompt(house), HasSubstr("written before"));
}

TEST(ToolsOfARun, ACancellationThatWasAnsweredSurvivesACrash) {
  House house;
  house.tools.add_text("fs.read", kRead, effect::EFFECT_CLASS_NONE, "x");
  house.tools.hang = true;
  house.providers.call("fs.read", "{}");
  const auto accepted = house.send("read");
  house.executor.run_until_idle();
  api::CancelRunRequest request;
  request.set_run_id(accepted.value().run_id);
  const auto answer = house.begin(house.gateway->cancel_run(House::caller(), request));
  while (!answer->has_value()) ASSERT_TRUE(house.executor.run_one());
  house.crash();
  house.start();
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_CANCELLED);
  EXPECT_THAT(house.tools.invoked, SizeIs(1));
}

TEST(ToolsOfARun, ACutOffCallWaitsForItsToolToComeBack) {
  policy::PolicyRules rules;
  rules.write_default = tape::VERDICT_ALLOW;
  House house(0, test_options(), rules);
  house.tools.add_text("mail.send", kWrite, effect::EFFECT_CLASS_KEYED, "sent");
  house.tools.hang = true;
  house.providers.call("mail.send", "{}");
  house.providers.say({"Sent."});
  const auto accepted = house.send("mail it");
  house.executor.run_until_idle();
  house.crash();
  house.tools.remove("mail.send");
  house.tools.hang = false;
  house.start();
  house.advance_ms(1'000);
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_RUNNING);
  house.tools.add_text("mail.send", kWrite, effect::EFFECT_CLASS_KEYED, "sent");
  house.advance_ms(10'000);
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_COMPLETED);
  EXPECT_THAT(last_prompt(house), HasSubstr("sent"));
  EXPECT_THAT(house.tools.invoked, SizeIs(2));
}

TEST(ToolsOfARun, WhoAttachesBehindAProposalIsToldTheToolOfItsResult) {
  House house;
  house.tools.add_text("fs.read", kRead, effect::EFFECT_CLASS_NONE, "forty-two");
  house.providers.call("fs.read", "{}");
  house.providers.say({"Done."});
  const auto accepted = house.send("read a");
  house.executor.run_until_idle();
  const std::string run_id = accepted.value().run_id;
  const auto types = house.tape_of(run_id);
  const auto result = std::find(types.begin(), types.end(), "tool_call_finished");
  ASSERT_NE(result, types.end());
  const auto seq = static_cast<uint64_t>(result - types.begin()) + 1;
  const auto subscription = house.attach(run_id, seq);
  ASSERT_TRUE(subscription);
  const auto events = house.all(*subscription);
  ASSERT_THAT(events, Not(IsEmpty()));
  EXPECT_EQ(events.front().seq(), seq);
  EXPECT_EQ(events.front().tool_result().name(), "fs.read");
}

TEST(ToolsOfARun, CancellingCutsAHangingToolOff) {
  House house;
  house.tools.add_text("fs.read", kRead, effect::EFFECT_CLASS_NONE, "x");
  house.tools.hang = true;
  house.providers.call("fs.read", "{}");
  const auto accepted = house.send("read");
  house.executor.run_until_idle();
  api::CancelRunRequest request;
  request.set_run_id(accepted.value().run_id);
  ASSERT_TRUE(house.run(house.gateway->cancel_run(House::caller(), request)).ok());
  house.advance_ms(6'000);
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_CANCELLED);
}

}  // namespace
}  // namespace palyra::gateway::testing
