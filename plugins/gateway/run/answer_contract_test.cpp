#include "plugins/gateway/run/answer_contract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace palyra::gateway::run {
namespace {

using ::testing::HasSubstr;

constexpr auto kStop = service::FINISH_REASON_STOP;

TEST(AnswerContract, AcceptsAnAnswer) {
  EXPECT_EQ(judge_answer("There are 3 files.", kStop, "", nullptr), "");
}

TEST(AnswerContract, RefusesWhatIsEmptyCutOffOrFiltered) {
  EXPECT_THAT(judge_answer(" \n\t", kStop, "", nullptr), HasSubstr("empty"));
  EXPECT_THAT(judge_answer("There a", service::FINISH_REASON_LENGTH, "", nullptr),
              HasSubstr("cut off"));
  EXPECT_THAT(judge_answer("", service::FINISH_REASON_FILTERED, "", nullptr), HasSubstr("filter"));
}

TEST(AnswerContract, ChecksTheSchemaIfOneWasAskedFor) {
  const SchemaCheck check = [](std::string_view, std::string_view text) {
    return text == "{}" ? std::string() : std::string("no object");
  };
  EXPECT_EQ(judge_answer("{}", kStop, "{}", check), "");
  EXPECT_THAT(judge_answer("hello", kStop, "{}", check), HasSubstr("no object"));
  EXPECT_NE(judge_answer("{}", kStop, "{}", nullptr), "") << "unchecked is not accepted";
}

TEST(Promise, IsAnAnnouncementAndNothingElse) {
  for (const char* text :
       {"I will now read the file.", "Let me check the logs.", "Sure, let me look into main.cpp.",
        "Okay. I'll start by listing the directory...", "I\xE2\x80\x99ll now run the tests!",
        "Certainly! First, I'll read the configuration. Then let me see.  "}) {
    const bool last = std::string_view(text).find("Then") != std::string_view::npos;
    EXPECT_EQ(is_promise(text), !last) << text;
  }
}

TEST(Promise, IsNotSeenInAnAnswer) {
  for (const char* text :
       {"", "Done.", "Let me know if you need more.", "Let me check: 42.",
        "I will now read the file. It has 3 lines.", "I'll go ahead and do it, shall I?",
        "Let me list them:\n- a\n- b", "The file is empty. Let me know what to do.",
        "I'm going to be honest: `x` is wrong.", "She said: let me go."}) {
    EXPECT_FALSE(is_promise(text)) << text;
  }
  EXPECT_FALSE(is_promise("Let me explain this at length" + std::string(500, 'x')));
}

}  // namespace
}  // namespace palyra::gateway::run
