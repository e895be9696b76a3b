#include "plugins/gateway/run/recover.h"

#include "plugins/gateway/run/testing/story.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace palyra::gateway::run {
namespace {

using ::testing::HasSubstr;
using testing::Story;

// A run whose one tool call is in flight.
Story calling(common::EffectClass effect_class) {
  Story story;
  story.begin().context().model("", {{"tool"}}).policy(0, tape::VERDICT_ALLOW, effect_class);
  return story;
}

TEST(Recovery, RepeatsWhatMayBeRepeatedWithTheSameKey) {
  for (const auto effect_class :
       {common::EFFECT_CLASS_NONE, common::EFFECT_CLASS_IDEMPOTENT, common::EFFECT_CLASS_KEYED}) {
    Story story = calling(effect_class);
    const auto before = story.tape.back().event.tool_call_started().start();
    story.crash();
    const auto after = story.tape.back().event.tool_call_started().start();
    EXPECT_EQ(after.idempotency_key(), before.idempotency_key());
    EXPECT_EQ(after.ordinal(), before.ordinal());
    EXPECT_EQ(after.attempt(), 2U);
  }
}

TEST(Recovery, AsksTheToolWhereItCanBeAsked) {
  Story story = calling(common::EFFECT_CLASS_VERIFIABLE);
  story.crash();
  EXPECT_TRUE(story.tape.back().event.tool_call_started().verify());
  story.crash();
  EXPECT_TRUE(story.tape.back().event.tool_call_started().verify()) << "a crash while asking";
  story.verified_not_happened(0);
  EXPECT_FALSE(story.tape.back().event.tool_call_started().verify());
  EXPECT_EQ(story.flying(EffectKind::kTool).attempt, 4U);
  story.tool(0, "done once");
  EXPECT_EQ(story.state.turns[0].calls[0].content, "done once");
}

TEST(Recovery, NeverRepeatsAnOpaqueCallAndTellsTheModel) {
  for (const auto effect_class : {common::EFFECT_CLASS_OPAQUE, common::EFFECT_CLASS_UNSPECIFIED}) {
    Story story = calling(effect_class);
    story.crash();
    EXPECT_FALSE(story.flies(EffectKind::kTool));
    EXPECT_TRUE(story.state.turns[0].calls[0].unknown);
    EXPECT_THAT(story.state.turns[0].calls[0].content, HasSubstr("not known"));
    EXPECT_TRUE(story.flies(EffectKind::kContext)) << "the next turn tells the model";
  }
}

TEST(Recovery, RepeatsAModelTurnAndChargesTheLostAttempt) {
  Story story;
  story.begin().context(100);
  const int64_t reserved = story.state.reserved_tokens;
  story.crash("There are th");
  EXPECT_EQ(story.flying(EffectKind::kModel).attempt, 2U);
  EXPECT_EQ(story.state.settled_tokens, reserved);
  EXPECT_EQ(story.tape[story.tape.size() - 2].event.model_turn_interrupted().partial_text(),
            "There are th");
}

TEST(Recovery, KeepsAnApprovalPendingAndWritesNothing) {
  Story story;
  story.begin().context().model("", {{"fs.write"}}).policy(0, tape::VERDICT_ASK);
  const size_t records = story.tape.size();
  story.crash();
  EXPECT_EQ(story.tape.size(), records);
  EXPECT_TRUE(story.flies(EffectKind::kApproval));
  story.approval(0, tape::APPROVAL_VERDICT_ALLOW).policy(0, tape::VERDICT_ALLOW);
  EXPECT_TRUE(story.flies(EffectKind::kTool));
}

TEST(Recovery, GathersContextAndJudgesAgain) {
  Story story;
  story.begin().crash();
  EXPECT_EQ(story.flying(EffectKind::kContext).attempt, 2U);
  story.context().model("", {{"t"}}).crash();
  EXPECT_EQ(story.flying(EffectKind::kPolicy).attempt, 2U);
}

TEST(Recovery, DowntimeIsNotRunningTime) {
  Story story;
  story.begin().after_ms(1'000).context();
  story.after_ms(3'600'000).crash();
  EXPECT_EQ(story.state.running_ns, 1'000'000'000);
}

TEST(Recovery, OfACancelledRunEndsIt) {
  Story story = calling(common::EFFECT_CLASS_KEYED);
  story.cancel();
  story.crash();
  EXPECT_EQ(run_state(story.state), api::RUN_STATE_CANCELLED);
}

TEST(Recovery, WhatKillsTheDaemonAgainAndAgainIsNotTriedForever) {
  Story story = calling(common::EFFECT_CLASS_KEYED);
  for (int i = 0; i < 8; ++i) story.crash();
  EXPECT_FALSE(story.flies(EffectKind::kTool));
  EXPECT_TRUE(story.state.turns[0].calls[0].unknown);
  Story model;
  model.begin().context();
  for (int i = 0; i < 8; ++i) model.crash();
  EXPECT_EQ(run_state(model.state), api::RUN_STATE_FAILED);
}

}  // namespace
}  // namespace palyra::gateway::run
