// What went into a prompt.
#include "plugins/gateway/session/tree_testing.h"

namespace palyra::gateway::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

TEST(Explain, ShowsEverySegmentAndCompilesTheSameRequestAgain) {
  Talk talk;
  talk.house.tools.add_text("fs.read", service::TOOL_ACCESS_READ,
                            palyra::common::v1::EFFECT_CLASS_NONE, "a file");
  talk.say_all(9);
  ASSERT_TRUE(talk.pin("Be kind.").ok());
  talk.compact();
  talk.house.providers.call("fs.read", "{}");
  const std::string run = talk.say("read it");
  talk.house.crash();
  talk.house.start();
  const auto explained = talk.explain(run);
  ASSERT_EQ(explained.contexts_size(), 2);
  for (const auto& context : explained.contexts()) {
    EXPECT_TRUE(context.as_sent()) << context.detail();
    EXPECT_GT(context.tool_tokens(), 0);
    for (const auto& segment : context.segments()) EXPECT_TRUE(segment.same());
  }
  const auto& second = explained.contexts(1);
  std::vector<int> kinds;
  for (const auto& segment : second.segments()) kinds.push_back(segment.segment().kind());
  EXPECT_THAT(kinds, ::testing::ElementsAre(tape::SEGMENT_KIND_SYSTEM, tape::SEGMENT_KIND_PINNED,
                                            tape::SEGMENT_KIND_SUMMARY, tape::SEGMENT_KIND_HISTORY,
                                            tape::SEGMENT_KIND_HISTORY, tape::SEGMENT_KIND_HISTORY,
                                            tape::SEGMENT_KIND_HISTORY, tape::SEGMENT_KIND_HISTORY,
                                            tape::SEGMENT_KIND_HISTORY, tape::SEGMENT_KIND_INPUT,
                                            tape::SEGMENT_KIND_RUN));
  EXPECT_THAT(second.segments(10).content(), HasSubstr("a file"));
  EXPECT_THAT(second.segments(2).content(), HasSubstr("SUMMARY 1"));
  // Other tools now: what cannot be compared is not called the same.
  talk.house.tools.add_text("fs.list", service::TOOL_ACCESS_READ,
                            palyra::common::v1::EFFECT_CLASS_NONE, "files");
  const auto later = talk.explain(run);
  EXPECT_FALSE(later.contexts(0).as_sent());
  EXPECT_THAT(later.contexts(0).detail(), HasSubstr("tools"));
  api::ExplainRunRequest other;
  other.set_run_id(run);
  EXPECT_EQ(talk.house.run(talk.house.gateway->explain_run(House::caller("user:bob"), other))
                .status()
                .code(),
            Code::kPermissionDenied);
}

TEST(Explain, SaysWhatWasDroppedAndWhatACompactionDid) {
  Talk talk(small_window(6'000));
  talk.say_all_in_vain(20, 600);
  talk.summary_failure = Status(Code::kInvalidArgument, "no");
  auto explained = talk.explain(talk.say("and?" + std::string(600, 'x')), false);
  ASSERT_EQ(explained.contexts_size(), 1);
  EXPECT_GT(explained.contexts(0).dropped_tokens(), 0);
  EXPECT_LE(explained.contexts(0).tokens(), explained.contexts(0).budget_tokens());
  ASSERT_EQ(explained.compactions_size(), 1);
  EXPECT_THAT(explained.compactions(0).failure().message(), HasSubstr("no"));
  talk.summary_failure = Status();
  talk.say_all(4);
  const size_t asked = talk.summarised.size();
  explained = talk.explain(talk.say("now?"));
  ASSERT_GE(explained.compactions_size(), 2);
  EXPECT_EQ(static_cast<size_t>(explained.compactions_size()), talk.summarised.size() - asked);
  EXPECT_TRUE(explained.compactions(0).finished().more());
  EXPECT_EQ(explained.compactions(0).trigger(), tape::COMPACTION_TRIGGER_BUDGET);
  EXPECT_THAT(explained.compactions(0).summary(), HasSubstr("SUMMARY"));
  EXPECT_LT(explained.compactions(0).finished().tokens_after(),
            explained.compactions(0).finished().tokens_before());
  EXPECT_EQ(explained.contexts_size(), 2);
}

}  // namespace
}  // namespace palyra::gateway::testing
