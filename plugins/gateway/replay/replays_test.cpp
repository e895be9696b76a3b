// Runs of a whole gateway replayed, repeated with something changed, exported and read elsewhere.
#include "plugins/gateway/replay/testing.h"

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>

#include <cstdlib>

namespace palyra::gateway {
namespace {

using gateway::testing::House;
using replay::testing::Place;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

namespace effect = palyra::common::v1;

TEST(Replays, ARunAndItsPromptsAreVerified) {
  Place place;
  const std::string first = place.ask();
  const std::string second = place.ask(place.run_of(first).session_id());
  for (const std::string& run_id : {first, second}) {
    const auto report = place.replay(run_id);
    ASSERT_TRUE(report.ok()) << report.status().to_string();
    EXPECT_EQ(report->verdict(), api::REPLAY_VERDICT_SAME) << report->DebugString();
    EXPECT_EQ(report->prompt(), api::PROMPT_CHECK_VERIFIED) << report->DebugString();
    EXPECT_EQ(report->segments(), report->segments_verified());
    EXPECT_GE(report->segments(), 4u);
  }
}

TEST(Replays, AnotherPrincipalsRunIsNotReplayedRepeatedOrExported) {
  Place place;
  const std::string run_id = place.ask();
  const Caller bob = House::caller("user:bob");
  EXPECT_EQ(place.replay(run_id, bob).status().code(), Code::kPermissionDenied);
  EXPECT_EQ(place.exported(run_id, bob).status().code(), Code::kPermissionDenied);
  api::RepeatRunRequest repeat;
  repeat.set_run_id(run_id);
  EXPECT_EQ(place.run(place.replays.repeat_run(bob, repeat)).status().code(),
            Code::kPermissionDenied);
  api::CompareRunsRequest compare;
  compare.set_run_id(run_id);
  compare.set_other_run_id(run_id);
  EXPECT_EQ(place.run(place.replays.compare_runs(bob, compare)).status().code(),
            Code::kPermissionDenied);
  Caller reader = House::caller();
  reader.scopes = {"runs.read"};
  EXPECT_EQ(place.run(place.replays.repeat_run(reader, repeat)).status().code(),
            Code::kPermissionDenied);
  EXPECT_EQ(place.replay("01ARZ3NDEKTSV4RRFFQ69G5FAV").status().code(), Code::kNotFound);
}

TEST(Replays, AllRunsThatHaveEndedAreReplayedNewestFirst) {
  Place place;
  const std::string first = place.ask();
  place.advance_ms(10'000);
  const std::string second = place.ask();
  place.providers.hang({"half"});
  ASSERT_TRUE(place.send("still going").ok());
  place.executor.run_until_idle();
  std::vector<std::string> seen;
  api::ReplayAllSummary summary;
  Send<api::ReplayAllEvent> send = [&](api::ReplayAllEvent event) -> Task<bool> {
    if (event.has_report()) seen.push_back(event.report().run_id());
    if (event.has_summary()) summary = event.summary();
    co_return true;
  };
  ASSERT_TRUE(place.run(place.replays.replay_all(House::caller(), {}, send)).ok());
  EXPECT_THAT(seen, ElementsAre(second, first));
  EXPECT_EQ(summary.runs(), 2u);
  EXPECT_EQ(summary.same(), 2u);
  EXPECT_GT(summary.compared(), 10u);
  seen.clear();
  api::ReplayAllRequest since;
  since.set_since_ms(place.run_of(second).created_at_ms());
  ASSERT_TRUE(place.run(place.replays.replay_all(House::caller(), since, send)).ok());
  EXPECT_THAT(seen, ElementsAre(second));
  seen.clear();
  ASSERT_TRUE(place.run(place.replays.replay_all(House::caller("user:bob"), {}, send)).ok());
  EXPECT_THAT(seen, IsEmpty());
}

TEST(Replays, RecordedToolsAnswerARepetitionAndNothingIsExecuted) {
  Place place;
  place.House::tools.add_text("fs.write", service::TOOL_ACCESS_WRITE, effect::EFFECT_CLASS_OPAQUE,
                              "written");
  const std::string original = place.ask();
  ASSERT_THAT(place.House::tools.invoked, SizeIs(1));
  place.providers.call("fs.read", R"({"path":"a"})");
  place.providers.call("fs.write", R"({"path":"b"})");
  place.providers.say({"It says forty-two."});
  const auto again = place.repeat({}, original);
  ASSERT_TRUE(again.ok()) << again.status().to_string();
  const auto run = place.run_of(*again);
  EXPECT_EQ(run.state(), api::RUN_STATE_COMPLETED) << "no approval is asked for what is recorded";
  EXPECT_NE(run.session_id(), place.run_of(original).session_id());
  EXPECT_THAT(place.House::tools.invoked, SizeIs(1)) << "nothing is executed";
  const auto comparison = place.compare(*again);
  EXPECT_EQ(comparison.left_run(), original);
  ASSERT_GE(comparison.first_divergence(), 0);
  const auto& pair = comparison.steps(comparison.first_divergence());
  EXPECT_FALSE(pair.has_left());
  const auto report = place.replay(*again);
  EXPECT_EQ(report->verdict(), api::REPLAY_VERDICT_SAME) << report->DebugString();
  bool told = false;
  for (const auto& step : comparison.steps()) {
    told = told || step.right().text().find("is not in the recording") != std::string::npos;
  }
  EXPECT_TRUE(told);
}

TEST(Replays, AChangedPromptIsWhatTheModelSees) {
  Place place;
  const std::string original = place.ask();
  place.providers.say({"I need no file."});
  api::RepeatRunRequest change;
  change.set_prompt("You are a pirate.");
  change.set_tools(palyra::tape::v1::REPLAY_TOOLS_LIVE);
  const auto again = place.repeat(change, original);
  ASSERT_TRUE(again.ok()) << again.status().to_string();
  EXPECT_THAT(place.providers.requests.back().messages(0).text(), HasSubstr("pirate"));
  const auto comparison = place.compare(*again);
  EXPECT_EQ(comparison.first_divergence(), 0);
  EXPECT_THAT(comparison.explanation(), HasSubstr("turn 1"));
  EXPECT_EQ(comparison.steps(0).right().text(), "I need no file.");
}

TEST(Replays, ARepetitionBeginsWhereTheOriginalBegan) {
  Place place;
  place.providers.say({"The word is teapot."});
  const auto first = place.send("a word");
  place.executor.run_until_idle();
  place.providers.say({"Teapot."});
  const auto second = place.send("which word?", first.value().session_id);
  place.executor.run_until_idle();
  place.providers.say({"Later."});
  ASSERT_TRUE(place.send("later words", first.value().session_id).ok());
  place.executor.run_until_idle();
  const auto again = place.repeat({}, second.value().run_id);
  ASSERT_TRUE(again.ok()) << again.status().to_string();
  std::string seen;
  for (const auto& message : place.providers.requests.back().messages()) {
    seen += message.text() + "|";
  }
  EXPECT_THAT(seen, HasSubstr("The word is teapot."));
  EXPECT_EQ(seen.find("later words"), std::string::npos);
  EXPECT_EQ(place.replay(*again)->prompt(), api::PROMPT_CHECK_VERIFIED);
  api::GetSessionRequest get;
  get.set_session_id(first.value().session_id);
  EXPECT_EQ(place.House::run(place.gateway->get_session(House::caller(), get)).value().turns(), 3u)
      << "the original's session is not touched";
}

TEST(Replays, RepetitionsAreListedAndFoundOnlyIfAskedFor) {
  Place place;
  const std::string original = place.ask();
  const std::string again = place.repeat({}, original).value();
  const std::string session = place.run_of(again).session_id();
  const auto sessions = [&](bool replays, const std::string& search) {
    api::ListSessionsRequest request;
    request.set_include_replays(replays);
    request.set_search(search);
    std::vector<std::string> ids;
    const auto list = place.House::run(place.gateway->list_sessions(House::caller(), request));
    for (const auto& one : list.value().sessions()) ids.push_back(one.session_id());
    return ids;
  };
  const auto runs = [&](bool replays, const std::string& text) {
    api::SearchSessionsRequest request;
    request.set_include_replays(replays);
    request.set_text(text);
    std::vector<std::string> ids;
    const auto found = place.House::run(place.gateway->search_sessions(House::caller(), request));
    for (const auto& hit : found.value().hits()) {
      ids.push_back(hit.run_id().empty() ? "title" : hit.run_id());
    }
    return ids;
  };
  for (const bool restarted : {false, true}) {
    if (restarted) {
      place.crash();
      place.start();
    }
    EXPECT_THAT(sessions(false, ""), ElementsAre(place.run_of(original).session_id()));
    EXPECT_THAT(sessions(true, ""), ElementsAre(session, place.run_of(original).session_id()));
    EXPECT_THAT(sessions(false, "replay"), IsEmpty());
    EXPECT_THAT(sessions(true, "replay"), ElementsAre(session));
    EXPECT_THAT(runs(false, "read"), ElementsAre("title", original));
    EXPECT_THAT(runs(true, "read"), ElementsAre("title", again, original));
    EXPECT_THAT(runs(true, "replay"), ElementsAre("title"));
  }
}

TEST(Replays, ARepetitionSurvivesACrash) {
  Place place;
  const std::string original = place.ask();
  place.providers.call("fs.read", R"({"path":"a"})");
  place.providers.hang({"It"});
  const auto again = place.repeat({}, original);
  ASSERT_TRUE(again.ok());
  place.crash();
  place.providers.say({"It says forty-two."});
  place.start();
  place.executor.run_until_idle();
  EXPECT_EQ(place.run_of(*again).text(), "It says forty-two.");
  EXPECT_THAT(place.House::tools.invoked, SizeIs(1));
}

TEST(Replays, WhatCannotBeRepeatedIsSaid) {
  Place place;
  const std::string original = place.ask();
  api::RepeatRunRequest change;
  change.set_provider("nowhere");
  EXPECT_THAT(place.repeat(change, original).status().message(), HasSubstr("\"nowhere\""));
  change.set_model("fake/other");
  EXPECT_EQ(place.repeat(change, original).status().code(), Code::kInvalidArgument);
  api::CompareRunsRequest compare;
  compare.set_run_id(original);
  EXPECT_EQ(place.run(place.replays.compare_runs(House::caller(), compare)).status().code(),
            Code::kInvalidArgument);
}

TEST(Replays, AnExportedRunIsReplayedElsewhere) {
  Place here;
  const std::string first = here.ask();
  const std::string run_id = here.ask(here.run_of(first).session_id());
  const auto file = here.exported(run_id);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  Place there;
  const auto answer = there.read(*file);
  ASSERT_TRUE(answer.ok()) << answer.status().to_string();
  EXPECT_EQ(answer->report().run_id(), run_id);
  EXPECT_EQ(answer->report().verdict(), api::REPLAY_VERDICT_SAME);
  EXPECT_EQ(answer->report().prompt(), api::PROMPT_CHECK_VERIFIED) << answer->DebugString();
  EXPECT_EQ(there.run_of(run_id).run_id(), "") << "nothing is imported";

  there.providers.call("fs.read", R"({"path":"a"})");
  there.providers.say({"Other words."});
  api::ReplayFileRequest with;
  with.mutable_repeat()->set_model("fake/other");
  const auto repeated = there.read(*file, with);
  ASSERT_TRUE(repeated.ok()) << repeated.status().to_string();
  there.executor.run_until_idle();
  EXPECT_THAT(there.House::tools.invoked, IsEmpty());
  EXPECT_EQ(there.run_of(repeated->repeated_as().run_id()).text(), "Other words.");
  api::ReplayFileRequest beside;
  beside.set_compare_with(repeated->repeated_as().run_id());
  const auto compared = there.read(*file, beside);
  ASSERT_TRUE(compared.ok()) << compared.status().to_string();
  EXPECT_THAT(compared->comparison().explanation(), HasSubstr("turn 2"));
  with.mutable_repeat()->set_tools(palyra::tape::v1::REPLAY_TOOLS_LIVE);
  EXPECT_EQ(there.read(*file, with).status().code(), Code::kInvalidArgument)
      << "a foreign run's calls are never made here";
}

TEST(Replays, AFileThatIsCutOffForeignNewerOrAlteredIsRefused) {
  Place place;
  const std::string file = place.exported(place.ask()).value();
  const auto status = [&place](const std::string& text) { return place.read(text).status(); };
  EXPECT_EQ(status(file.substr(0, file.size() / 2)).code(), Code::kDataLoss);
  EXPECT_THAT(status(file.substr(0, file.rfind("{"))).message(), HasSubstr("cut off"));
  EXPECT_EQ(status("").code(), Code::kInvalidArgument);
  EXPECT_EQ(status("hello\nworld\n").code(), Code::kInvalidArgument);
  EXPECT_THAT(status("{\"stream\":\"run/1\"}\n").message(), HasSubstr("not an exported run"));
  EXPECT_THAT(status(R"({"header":{"format":"palyra.run.2","more":1}})"
                     "\n")
                  .message(),
              HasSubstr("palyra.run.2"));
  EXPECT_EQ(status(file + "{}\n").code(), Code::kInvalidArgument);
  std::string altered = file;
  const size_t at = altered.find("\"payload\":\"") + 20;
  altered[at] = altered[at] == 'A' ? 'B' : 'A';
  EXPECT_EQ(status(altered).code(), Code::kDataLoss);
  EXPECT_EQ(status(std::string(7 << 20, 'x')).code(), Code::kInvalidArgument);
}

TEST(Replays, NoBytesOfAFileDoHarm) {
  const google::protobuf::LogSilencer silence;
  Place place;
  const std::string file = place.exported(place.ask()).value();
  const char* given = std::getenv("PALYRA_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  gateway::testing::SeededRandom random(seed);
  for (int round = 0; round < 300; ++round) {
    std::string changed = file;
    uint32_t dice[8];
    random.fill(dice, sizeof(dice));
    for (uint32_t i = 0; i < 1 + dice[0] % 3; ++i) {
      changed[dice[i + 1] % changed.size()] = static_cast<char>(dice[i + 4]);
    }
    if (dice[7] % 4 == 0) changed.resize(dice[7] % changed.size());
    replay::RunFileReader reader;
    static_cast<void>(reader.feed(changed));
    const auto read = reader.finish();
    EXPECT_TRUE(!read.ok() || changed == file) << "seed " << seed << ", round " << round;
  }
}

}  // namespace
}  // namespace palyra::gateway
