#include "plugins/gateway/run/decide.h"

#include "plugins/gateway/run/testing/story.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace palyra::gateway::run {
namespace {

using ::testing::HasSubstr;
using testing::Story;

using Kind = EffectKind;

TEST(Run, AQuestionIsAnsweredInOneTurn) {
  Story story;
  story.begin();
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_RUNNING);
  ASSERT_TRUE(story.flies(Kind::kContext));
  story.context();
  ASSERT_TRUE(story.flies(Kind::kModel));
  story.model("There are 3 files.");
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_COMPLETED);
  EXPECT_EQ(story.state.final_text, "There are 3 files.");
  const auto& completed = story.tape.back().event.run_completed();
  EXPECT_EQ(completed.turns(), 1U);
  EXPECT_EQ(completed.usage().input_tokens(), 50);
}

TEST(Run, IsQueuedUntilItBegins) {
  Story story;
  tape::RunEvent created;
  *created.mutable_run_created() = story.created();
  story.append(created);
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_QUEUED);
  EXPECT_TRUE(decide(story.state, nullptr).begin);
}

TEST(Run, ResultsReachTheModelAfterAllCallsAreDone) {
  Story story;
  story.begin().context().model("", {{"fs.list"}, {"fs.read"}});
  story.policy(0, tape::VERDICT_ALLOW).policy(1, tape::VERDICT_ALLOW);
  ASSERT_TRUE(story.flies(Kind::kTool, 0));
  ASSERT_TRUE(story.flies(Kind::kTool, 1));
  story.tool(1, "second");
  EXPECT_EQ(story.state.turns.size(), 1U);
  story.tool(0, "first");
  EXPECT_EQ(story.state.turns.size(), 2U);
  EXPECT_TRUE(story.flies(Kind::kContext));
  EXPECT_EQ(story.state.turns[0].calls[0].content, "first");
}

TEST(Run, StartsCarryOrdinalKeyAttemptAndReservation) {
  tape::RunLimits limits;
  limits.set_max_output_tokens(500);
  Story story(limits);
  story.begin().context(100);
  const auto& start = story.tape.back().event.model_turn_started().start();
  EXPECT_EQ(start.ordinal(), 2U);
  EXPECT_EQ(start.attempt(), 1U);
  EXPECT_EQ(start.reserved_tokens(), 600);
  EXPECT_EQ(start.digest().size(), 32U);
  EXPECT_EQ(start.idempotency_key(), idempotency_key("01RUN", 2));
  EXPECT_EQ(start.idempotency_key().size(), 64U);
  EXPECT_EQ(story.state.reserved_tokens, 600);
  story.model("Done: 3.");
  EXPECT_EQ(story.state.reserved_tokens, 0);
  EXPECT_EQ(story.state.settled_tokens, 60);
}

TEST(ToolFlow, AtMostFourSafeCallsRunAtOnce) {
  Story story;
  story.begin().context().model("", {{"a"}, {"b"}, {"c"}, {"d"}, {"e"}});
  for (uint32_t i = 0; i < 5; ++i) story.policy(i, tape::VERDICT_ALLOW);
  EXPECT_TRUE(story.flies(Kind::kTool, 3));
  EXPECT_FALSE(story.flies(Kind::kTool, 4));
  story.tool(2, "ok");
  EXPECT_TRUE(story.flies(Kind::kTool, 4));
}

TEST(ToolFlow, ACallThatIsNotParallelSafeRunsAloneAndInItsPlace) {
  Story story;
  story.begin().context().model("", {{"fs.read"}, {"fs.write"}, {"fs.read"}});
  story.policy(2, tape::VERDICT_ALLOW);
  EXPECT_FALSE(story.flies(Kind::kTool, 2)) << "what is before it is not judged yet";
  story.policy(1, tape::VERDICT_ALLOW, common::EFFECT_CLASS_OPAQUE, false);
  story.policy(0, tape::VERDICT_ALLOW);
  EXPECT_TRUE(story.flies(Kind::kTool, 0));
  EXPECT_FALSE(story.flies(Kind::kTool, 1));
  story.tool(0, "before");
  EXPECT_TRUE(story.flies(Kind::kTool, 1));
  EXPECT_FALSE(story.flies(Kind::kTool, 2));
  story.tool(1, "written");
  EXPECT_TRUE(story.flies(Kind::kTool, 2));
}

TEST(ToolFlow, ADeniedCallTellsTheModelAndRunsNothing) {
  Story story;
  story.begin().context().model("", {{"fs.write"}}).policy(0, tape::VERDICT_DENY);
  EXPECT_FALSE(story.state.turns[0].calls[0].executed);
  EXPECT_THAT(story.state.turns[0].calls[0].content, HasSubstr("denies"));
  EXPECT_TRUE(story.flies(Kind::kContext)) << "the next turn";
}

TEST(ToolFlow, APolicyThatDoesNotAnswerMeansDeny) {
  Story story;
  story.begin().context().model("", {{"fs.write"}}).policy(0, tape::VERDICT_UNSPECIFIED);
  EXPECT_EQ(story.state.turns[0].calls[0].phase, CallPhase::kDone);
  EXPECT_FALSE(story.state.turns[0].calls[0].executed);
}

TEST(Approval, IsAskedThenJudgedAgainThenExecuted) {
  Story story;
  story.begin().context().model("", {{"fs.write", R"({"path":"a"})"}});
  story.policy(0, tape::VERDICT_ASK);
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_WAITING);
  EXPECT_EQ(wait_reason(story.state), api::WAIT_REASON_APPROVAL);
  const auto& asked = story.tape.back().event.approval_requested();
  EXPECT_EQ(asked.action_digest().size(), 32U);
  EXPECT_EQ(asked.expires_at_ms(), story.now_ns / 1'000'000 + 900'000);
  story.approval(0, tape::APPROVAL_VERDICT_ALLOW);
  ASSERT_TRUE(story.flies(Kind::kPolicy));
  EXPECT_EQ(story.tape.back().event.policy_started().round(), 2U);
  story.policy(0, tape::VERDICT_ASK);
  EXPECT_TRUE(story.flies(Kind::kTool));
}

TEST(Approval, ADenyAfterTheApprovalWins) {
  Story story;
  story.begin().context().model("", {{"fs.write"}}).policy(0, tape::VERDICT_ASK);
  story.approval(0, tape::APPROVAL_VERDICT_ALLOW).policy(0, tape::VERDICT_DENY);
  EXPECT_FALSE(story.state.turns[0].calls[0].executed);
}

TEST(Approval, OfARuleThatChangedMeanwhileIsAskedAgain) {
  Story story;
  story.begin().context().model("", {{"fs.write"}}).policy(0, tape::VERDICT_ASK);
  const std::string first = story.flying(Kind::kApproval).approval_id;
  story.approval(0, tape::APPROVAL_VERDICT_ALLOW);
  story.policy(0, tape::VERDICT_ASK, common::EFFECT_CLASS_OPAQUE, false, "stricter");
  ASSERT_TRUE(story.flies(Kind::kApproval));
  EXPECT_NE(story.flying(Kind::kApproval).approval_id, first);
  EXPECT_FALSE(story.state.turns[0].calls[0].executed);
}

TEST(Approval, ThatNobodyGivesInTimeIsToldToTheModel) {
  Story story;
  story.begin().context().model("", {{"fs.write"}}).policy(0, tape::VERDICT_ASK);
  story.approval(0, tape::APPROVAL_VERDICT_EXPIRED);
  EXPECT_THAT(story.state.turns[0].calls[0].content, HasSubstr("in time"));
  EXPECT_TRUE(story.flies(Kind::kContext));
}

TEST(Approval, OfAnotherQuestionDoesNotCount) {
  Story story;
  story.begin().context().model("", {{"fs.write"}}).policy(0, tape::VERDICT_ASK);
  tape::RunEvent event;
  event.mutable_approval_decided()->set_ordinal(story.flying(Kind::kApproval).ordinal);
  event.mutable_approval_decided()->set_approval_id("01OTHER");
  event.mutable_approval_decided()->set_verdict(tape::APPROVAL_VERDICT_ALLOW);
  story.append(event);
  story.step();
  EXPECT_TRUE(story.flies(Kind::kApproval));
  EXPECT_TRUE(story.state.corrupt.empty());
}

TEST(Approval, IsDeniedAtOnceWhereNobodyCanBeAsked) {
  Story story;
  story.created().set_ask_mode(tape::ASK_MODE_DENY);
  story.begin().context().model("", {{"fs.write"}}).policy(0, tape::VERDICT_ASK);
  EXPECT_FALSE(story.flies(Kind::kApproval));
  EXPECT_TRUE(story.flies(Kind::kContext));
}

TEST(ModelFailure, IsRetriedTwiceThenFailsTheRun) {
  Story story;
  story.begin().context();
  for (int attempt = 1; attempt <= 2; ++attempt) {
    story.model_fails(service::FAILURE_KIND_UNAVAILABLE, true);
    EXPECT_EQ(run_state(story.state), api::RUN_STATE_WAITING);
    EXPECT_EQ(wait_reason(story.state), api::WAIT_REASON_PROVIDER_CAPACITY);
    story.timer();
    EXPECT_EQ(story.flying(Kind::kModel).attempt, static_cast<uint32_t>(attempt + 1));
    EXPECT_EQ(story.flying(Kind::kModel).ordinal, 2U) << "the same ordinal";
  }
  story.model_fails(service::FAILURE_KIND_UNAVAILABLE, true);
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_FAILED);
  EXPECT_EQ(story.state.failure.message(), "embedded: no answer");
}

TEST(ModelFailure, WaitsAsLongAsTheProviderAsks) {
  Story story;
  story.begin().context().model_fails(service::FAILURE_KIND_RATE_LIMIT, true, 30'000);
  EXPECT_EQ(story.flying(Kind::kTimer).due_ms, story.now_ns / 1'000'000 + 30'000);
}

TEST(ModelFailure, ThatARetryCannotHelpFailsNow) {
  for (const auto kind : {service::FAILURE_KIND_AUTH, service::FAILURE_KIND_BAD_REQUEST,
                          service::FAILURE_KIND_CONTEXT_OVERFLOW,
                          service::FAILURE_KIND_MODEL_NOT_FOUND, service::FAILURE_KIND_QUOTA}) {
    Story story;
    story.begin().context().model_fails(kind, true);
    EXPECT_EQ(run_state(story.state), api::RUN_STATE_FAILED) << kind;
  }
}

TEST(Limits, TurnsEndTheRunWithASentence) {
  tape::RunLimits limits;
  limits.set_max_turns(2);
  Story story(limits);
  story.begin();
  for (int i = 0; i < 2; ++i) {
    story.context().model("", {{"t", std::to_string(i)}}).policy(0, tape::VERDICT_ALLOW);
    story.tool(0, "ok");
  }
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_FAILED);
  EXPECT_THAT(story.state.failure.message(), HasSubstr("limit of 2 model turns"));
}

TEST(Limits, ToolCallsAboveTheLimitAreNotExecuted) {
  tape::RunLimits limits;
  limits.set_max_tool_calls(1);
  Story story(limits);
  story.begin().context().model("", {{"a"}, {"b"}});
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_FAILED);
  EXPECT_THAT(story.state.failure.message(), HasSubstr("limit of 1 tool calls"));
}

TEST(Limits, ThreeIdenticalFailuresInARowEndTheRun) {
  Story story;
  story.begin();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(run_state(story.state), api::RUN_STATE_RUNNING);
    story.context().model("", {{"fs.read", R"({"path":"x"})"}}).policy(0, tape::VERDICT_ALLOW);
    story.tool(0, "no such file", true);
  }
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_FAILED);
  EXPECT_THAT(story.state.failure.message(), HasSubstr("fs.read failed 3 times in a row"));
}

TEST(Limits, AnotherErrorOrASuccessInBetweenIsNotARow) {
  Story story;
  story.begin();
  for (int i = 0; i < 9; ++i) {
    story.context().model("", {{"fs.read"}}).policy(0, tape::VERDICT_ALLOW);
    story.tool(0, i % 3 == 2 ? "fine" : "no such file", i % 3 != 2);
  }
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_RUNNING);
}

TEST(Limits, RunningTimeDoesNotCountWaiting) {
  tape::RunLimits limits;
  limits.set_max_running_ms(10'000);
  Story story(limits);
  story.begin().after_ms(1'000).context().after_ms(2'000).model("", {{"fs.write"}});
  story.policy(0, tape::VERDICT_ASK);
  EXPECT_EQ(running_time_ends_ns(story.state), INT64_MAX);
  story.after_ms(3'600'000).approval(0, tape::APPROVAL_VERDICT_ALLOW);
  EXPECT_EQ(story.state.running_ns, 3'000'000'000);
  EXPECT_EQ(running_time_ends_ns(story.state), story.now_ns + 7'000'000'000);
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_RUNNING);
}

TEST(Limits, TimeThatIsUpStopsWhatIsInFlightThenFails) {
  Story story;
  story.begin().context();
  tape::RunEvent event;
  event.mutable_limit_reached()->set_kind(tape::LIMIT_KIND_RUNNING_TIME);
  story.append(event);
  EXPECT_TRUE(decide(story.state, nullptr).stop_in_flight);
  story.append(interrupt_events(story.state, "half", "time"));
  story.step();
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_FAILED);
  EXPECT_EQ(story.state.failure.code(), 4);
}

TEST(Budget, IsReservedBeforeTheCallAndShortensTheLastTurn) {
  tape::RunLimits limits;
  limits.set_max_tokens(1'000);
  limits.set_max_output_tokens(800);
  Story story(limits);
  story.begin().context(100);
  EXPECT_EQ(story.started.back().max_output_tokens, 800);
  story.model("", {{"t"}}).policy(0, tape::VERDICT_ALLOW).tool(0, "ok").context(500);
  EXPECT_EQ(story.started.back().max_output_tokens, 1'000 - 60 - 500);
  EXPECT_EQ(story.state.settled_tokens + story.state.reserved_tokens, 1'000);
}

TEST(Budget, ThatDoesNotPayForAnotherTurnFailsWithoutACall) {
  tape::RunLimits limits;
  limits.set_max_tokens(120);
  Story story(limits);
  story.begin().context(100);
  EXPECT_FALSE(story.flies(Kind::kModel));
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_FAILED);
  EXPECT_EQ(story.state.failure.code(), 8);
}

TEST(Budget, AProviderThatReportsMoreThanReservedIsShownAsOverrun) {
  tape::RunLimits limits;
  limits.set_max_output_tokens(5);
  Story story(limits);
  story.begin().context(10).model("Three files.");
  EXPECT_TRUE(story.state.overrun);
}

TEST(Answer, ThatIsEmptyGetsOneRepairTurnThenAClearFailure) {
  Story story;
  story.begin().context().model("");
  EXPECT_EQ(story.state.rejections, 1U);
  EXPECT_TRUE(story.flies(Kind::kContext));
  story.context().model(" \n");
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_FAILED);
  EXPECT_THAT(story.state.failure.message(), HasSubstr("refused twice"));
}

TEST(Answer, ThatIsRepairedCompletes) {
  Story story;
  story.created().set_response_schema_json("{}");
  story.schema_check = [](std::string_view, std::string_view text) {
    return text == "[1]" ? std::string() : std::string("not [1]");
  };
  story.begin().context().model("one").context().model("[1]");
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_COMPLETED);
}

TEST(Cancel, OfAQueuedRunEndsItAtOnce) {
  Story story;
  tape::RunEvent created;
  *created.mutable_run_created() = story.created();
  story.append(created);
  story.cancel();
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_CANCELLED);
}

TEST(Cancel, BeginsNothingNewAndWaitsForWhatIsInFlight) {
  Story story;
  story.begin().context().model("", {{"a"}, {"b"}});
  story.policy(0, tape::VERDICT_ALLOW, common::EFFECT_CLASS_OPAQUE, false);
  story.policy(1, tape::VERDICT_ALLOW).cancel();
  const Decision decision = decide(story.state, nullptr);
  EXPECT_TRUE(decision.stop_in_flight);
  EXPECT_TRUE(decision.idle());
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_RUNNING);
  story.append(interrupt_events(story.state, "", "it did not stop in time."));
  EXPECT_TRUE(story.state.turns[0].calls[0].unknown);
  story.step();
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_CANCELLED);
}

TEST(Cancel, OfAWaitingRunEndsItAtOnce) {
  Story story;
  story.begin().context().model("", {{"fs.write"}}).policy(0, tape::VERDICT_ASK).cancel();
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_CANCELLED);
  EXPECT_TRUE(story.state.in_flight.empty());
}

TEST(Cancel, EndsARunThatNobodyUnderstands) {
  Story story;
  story.begin();
  story.append(tape::RunEvent());
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_WAITING);
  EXPECT_EQ(wait_reason(story.state), api::WAIT_REASON_OPERATOR);
  EXPECT_TRUE(decide(story.state, nullptr).idle());
  story.cancel();
  story.append(interrupt_events(story.state, "", "over"));
  story.step();
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_CANCELLED);
}

TEST(Tape, AResultOfSomethingNotInFlightChangesNothing) {
  Story story;
  story.begin().context();
  const auto late = story.model_event("Late.", {});
  story.model("There are 3.", {{"t"}});
  const size_t calls = story.state.turns[0].calls.size();
  story.append(late);
  EXPECT_EQ(story.state.turns[0].calls.size(), calls);
  EXPECT_TRUE(story.state.corrupt.empty());
}

TEST(Tape, AStartThatWasNotWantedIsShownToTheOperator) {
  Story story;
  story.begin();
  tape::RunEvent event;
  event.mutable_tool_call_started()->mutable_start()->set_ordinal(7);
  story.append(event);
  EXPECT_EQ(wait_reason(story.state), api::WAIT_REASON_OPERATOR);
  EXPECT_THAT(story.state.corrupt, HasSubstr("record 4 of run 01RUN"));
}

TEST(Tape, MadeByANewerLoopWaitsForTheOperator) {
  Story story;
  tape::RunEvent event;
  *event.mutable_run_created() = story.created();
  story.append(event);
  event.mutable_run_started()->set_loop_version(kLoopVersion + 1);
  story.append(event);
  EXPECT_EQ(wait_reason(story.state), api::WAIT_REASON_OPERATOR);
}

TEST(Tape, NothingFollowsTheTerminalRecord) {
  Story story;
  story.begin().context().model("Three.");
  story.cancel();
  story.append(tape::RunEvent());
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_COMPLETED);
}

}  // namespace
}  // namespace palyra::gateway::run
