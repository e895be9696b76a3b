// Messages that join a run: before it begins, while it is under way, and in the middle of a turn.
#include "plugins/gateway/run/inputs.h"

#include "plugins/gateway/run/compile.h"
#include "plugins/gateway/run/testing/story.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace palyra::gateway::run {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Record;
using testing::Story;

using Kind = EffectKind;

tape::RunEvent added(const std::string& text, tape::QueueMode mode,
                     common::Provenance provenance = common::PROVENANCE_PRINCIPAL) {
  tape::RunEvent event;
  event.mutable_input_added()->set_input_id("01" + text);
  event.mutable_input_added()->set_text(text);
  event.mutable_input_added()->set_mode(mode);
  event.mutable_input_added()->set_provenance(provenance);
  return event;
}

Story& steer(Story& story, const std::string& text) {
  story.append(added(text, tape::QUEUE_MODE_STEER));
  return story.step();
}

Story& interrupt(Story& story, const std::string& text) {
  story.append(added(text, tape::QUEUE_MODE_INTERRUPT));
  return story.step();
}

// What the shell does after the grace period, or what a provider that hears of the cancel leaves.
Story& stopped(Story& story, const std::string& partial = "") {
  story.append(interrupt_events(story.state, partial, "it was stopped."));
  return story.step();
}

// "u:" user, "a:" assistant, "t:" tool; as the model of the next turn sees the run.
std::vector<std::string> seen(const State& state) {
  std::vector<Piece> pieces = {input_piece(state)};
  for (auto& piece : run_pieces(state)) pieces.push_back(std::move(piece));
  const auto request = compile(pieces, {}, "echo", "").parsed();
  std::vector<std::string> out;
  for (const auto& message : request.messages()) {
    const char* who = message.role() == service::ROLE_USER        ? "u:"
                      : message.role() == service::ROLE_ASSISTANT ? "a:"
                                                                  : "t:";
    out.push_back(who + message.text());
  }
  return out;
}

TEST(JoinedInputs, BeforeTheBeginningAreOneMessageInOrder) {
  Story story;
  tape::RunEvent created;
  *created.mutable_run_created() = story.created();
  story.append(created);
  story.append(added("And how large?", tape::QUEUE_MODE_COLLECT));
  story.append(added("<script>", tape::QUEUE_MODE_COLLECT, common::PROVENANCE_UNTRUSTED));
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_QUEUED);
  story.step();
  const auto said = seen(story.state);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_THAT(said[0], HasSubstr("u:How many files are here?\n\nAnd how large?\n\nData from"));
  EXPECT_EQ(input_piece(story.state).segment.provenance(), common::PROVENANCE_UNTRUSTED);
  EXPECT_EQ(input_piece(story.state).segment.last_seq(), 3U);
  story.context().model("3, and 7 KiB.");
  EXPECT_EQ(story.state.phase, Phase::kCompleted);
}

TEST(JoinedInputs, ASteeredMessageIsSeenInTheNextTurnBehindTheResults) {
  Story story;
  story.begin().context().model("Looking.", {{"fs.list"}});
  steer(story, "only .txt").policy(0, tape::VERDICT_ALLOW).tool(0, "a.txt b.c");
  ASSERT_EQ(story.state.turns.size(), 2U);
  EXPECT_THAT(seen(story.state), ElementsAre("u:How many files are here?", "a:Looking.",
                                             "t:a.txt b.c", "u:only .txt"));
  story.context().model("One.");
  EXPECT_EQ(story.state.final_text, "One.");
}

TEST(JoinedInputs, AnAnswerThatWasBeingWrittenIsKeptAndOneMoreTurnFollows) {
  Story story;
  story.begin().context();
  steer(story, "in French");
  EXPECT_TRUE(story.flies(Kind::kModel)) << "steering stops nothing";
  story.model("Three.");
  ASSERT_EQ(story.state.phase, Phase::kActive);
  EXPECT_THAT(seen(story.state),
              ElementsAre("u:How many files are here?", "a:Three.", "u:in French"));
  story.context().model("Trois.");
  EXPECT_EQ(story.state.final_text, "Trois.");
  EXPECT_EQ(story.state.turns.size(), 2U);
}

TEST(JoinedInputs, TheContextOfATurnThatIsMadeAgainDoesNotShowWhatCameAfterIt) {
  Story story;
  story.begin().context();
  steer(story, "later");
  story.crash("par");
  ASSERT_TRUE(story.flies(Kind::kModel));
  EXPECT_THAT(run_pieces(story.state, 1), ::testing::IsEmpty());
  story.model("Three.");
  EXPECT_THAT(seen(story.state).back(), "u:later");
}

TEST(JoinedInputs, ASteeredRunThatReachesItsLimitFailsClearly) {
  tape::RunLimits limits;
  limits.set_max_turns(1);
  Story story(limits);
  story.begin().context();
  steer(story, "more").model("Three.");
  EXPECT_EQ(story.state.phase, Phase::kFailed);
  EXPECT_THAT(story.state.failure.message(), HasSubstr("limit of 1 model turns"));
}

TEST(JoinedInputs, AnInterruptedTurnKeepsWhatWasSaidAndIsNotRepeated) {
  Story story;
  story.begin().context();
  interrupt(story, "stop, in French");
  EXPECT_TRUE(decide(story.state, story.schema_check).stop_in_flight);
  stopped(story, "There are thr");
  ASSERT_EQ(story.state.turns.size(), 2U);
  EXPECT_THAT(seen(story.state),
              ElementsAre("u:How many files are here?",
                          "a:There are thr\n(Cut off here by the message that follows.)",
                          "u:stop, in French"));
  EXPECT_FALSE(decide(story.state, story.schema_check).stop_in_flight);
  story.context().model("Trois.");
  EXPECT_EQ(story.state.final_text, "Trois.");
}

TEST(JoinedInputs, AnInterruptionOutlivesACrashInTheMiddleOfIt) {
  Story story;
  story.begin().context();
  interrupt(story, "stop").crash("Ther");
  ASSERT_EQ(story.state.turns.size(), 2U);
  EXPECT_TRUE(story.state.turns[0].cut);
  EXPECT_THAT(seen(story.state).back(), "u:stop");
}

TEST(JoinedInputs, AnInterruptionNeverRepeatsAToolAndReportsWhatMayHaveHappened) {
  Story story;
  story.begin().context().model("", {{"opaque"}, {"look"}, {"keyed"}, {"later"}});
  story.policy(0, tape::VERDICT_ALLOW, common::EFFECT_CLASS_OPAQUE);
  story.policy(1, tape::VERDICT_ALLOW, common::EFFECT_CLASS_NONE);
  story.policy(2, tape::VERDICT_ALLOW, common::EFFECT_CLASS_KEYED);
  story.policy(3, tape::VERDICT_ALLOW, common::EFFECT_CLASS_NONE, false);
  ASSERT_EQ(story.state.in_flight.size(), 3U);
  interrupt(story, "no");
  stopped(story);
  ASSERT_EQ(story.state.turns.size(), 2U);
  const auto& calls = story.state.turns[0].calls;
  EXPECT_TRUE(calls[0].unknown);
  EXPECT_FALSE(calls[1].unknown);
  EXPECT_THAT(calls[1].content, HasSubstr("stopped by a newer message"));
  EXPECT_TRUE(calls[2].unknown) << "it may have taken effect, and nobody will ask again";
  EXPECT_FALSE(calls[3].executed);
  EXPECT_THAT(calls[3].content, HasSubstr("not made"));
  EXPECT_THAT(seen(story.state).back(), "u:no");
  for (const Record& record : story.tape) {
    if (record.event.has_tool_call_started()) {
      EXPECT_EQ(record.event.tool_call_started().start().attempt(), 1U);
    }
  }
}

TEST(JoinedInputs, AnInterruptionClosesAQuestionAndTheCallIsNotMade) {
  Story story;
  story.begin().context().model("", {{"fs.write"}});
  story.policy(0, tape::VERDICT_ASK);
  ASSERT_EQ(run_state(story.state), api::RUN_STATE_WAITING);
  steer(story, "hurry");
  EXPECT_TRUE(story.flies(Kind::kApproval)) << "steering leaves the question open";
  interrupt(story, "leave it");
  EXPECT_FALSE(story.flies(Kind::kApproval));
  EXPECT_FALSE(story.state.turns[0].calls[0].executed);
  EXPECT_THAT(seen(story.state).back(), "u:hurry\n\nleave it");
  EXPECT_TRUE(story.flies(Kind::kContext));
}

TEST(JoinedInputs, AnInterruptionDoesNotWaitForARetry) {
  Story story;
  story.begin().context().model_fails(service::FAILURE_KIND_UNAVAILABLE, true);
  ASSERT_TRUE(story.flies(Kind::kTimer));
  interrupt(story, "now");
  EXPECT_FALSE(story.flies(Kind::kTimer));
  EXPECT_TRUE(story.flies(Kind::kContext));
}

TEST(JoinedInputs, ACancelledRunTakesItsSteeringWithIt) {
  Story story;
  story.begin().context();
  steer(story, "too late").cancel();
  stopped(story, "");
  EXPECT_EQ(story.state.phase, Phase::kCancelled);
  EXPECT_EQ(story.state.inputs.size(), 1U);
  const Piece history = history_piece(story.state, "turn 01T");
  const auto messages = history.messages.parsed();
  ASSERT_GE(messages.size(), 2U);
  EXPECT_EQ(messages[1].text(), "too late");
}

TEST(JoinedInputs, AMessageForARunThatHasEndedChangesNothing) {
  Story story;
  story.begin().context().model("Three.");
  story.append(added("too late", tape::QUEUE_MODE_STEER));
  EXPECT_EQ(story.state.phase, Phase::kCompleted);
  EXPECT_TRUE(story.state.inputs.empty());
}

TEST(JoinedInputs, TheNewEndOfTheWindowIsTheLastSaid) {
  Story story;
  story.created().set_start_after_ms(1'000);
  tape::RunEvent created;
  *created.mutable_run_created() = story.created();
  story.append(created);
  EXPECT_EQ(story.state.start_after_ms, 1'000);
  auto more = added("more", tape::QUEUE_MODE_COLLECT);
  story.append(more);
  EXPECT_EQ(story.state.start_after_ms, 1'000);
  more.mutable_input_added()->set_start_after_ms(2'000);
  story.append(more);
  EXPECT_EQ(story.state.start_after_ms, 2'000);
}

}  // namespace
}  // namespace palyra::gateway::run
