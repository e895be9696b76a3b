// Tapes that are damaged, cut or erased, and files that want too much: said, and no harm to others.
#include "plugins/gateway/replay/compare.h"
#include "plugins/gateway/replay/run_file_probe.h"
#include "plugins/gateway/replay/testing.h"
#include "plugins/gateway/run/evolve.h"

#include <gmock/gmock.h>

#include <sstream>

namespace palyra::gateway::replay {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Place;
using ::testing::SizeIs;

std::vector<std::string> lines_of(const std::string& file) {
  std::vector<std::string> lines;
  std::istringstream in(file);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string file_of(const std::vector<std::string>& lines) {
  std::string file;
  for (const std::string& line : lines) file += line + "\n";
  return resealed(file);
}

// Turns of a lane's others while `task` is under way.
template <typename T>
int turns_during(Place& place, Task<T> task) {
  int turns = 0;
  const auto result = place.begin(std::move(task));
  std::function<void()> tick = [&] {
    if (result->has_value()) return;
    ++turns;
    place.executor.post(tick);
  };
  place.executor.post(tick);
  place.executor.run_until_idle();
  EXPECT_TRUE(result->has_value());
  return turns;
}

Receive<api::ReplayFileRequest> at_once(const std::string& file) {
  return [&file, given = false]() mutable -> Task<std::optional<api::ReplayFileRequest>> {
    if (std::exchange(given, true)) co_return std::nullopt;
    api::ReplayFileRequest part;
    part.set_data(file);
    co_return part;
  };
}

// A run's file with the record that says what the model was shown, many times.
std::string greedy_file(Place& place, const std::string& run_id, int times) {
  const auto lines = lines_of(place.exported(run_id).value());
  std::vector<std::string> out;
  for (const std::string& line : lines) {
    const bool shown = line.find("\"context_gathered\"") != std::string::npos;
    for (int i = 0; i < (shown ? times : 1); ++i) out.push_back(line);
  }
  return file_of(out);
}

TEST(DamagedTapes, AGapIsNeverTakenForAnErasure) {
  Place place;
  const std::string run_id = place.ask();
  const std::string file = place.exported(run_id).value();
  place.damaged.gone["run/" + run_id] = {4, 5};
  const auto words = AllOf(HasSubstr("records 4 to 5 of run/" + run_id + " are missing"),
                           HasSubstr("palyra audit verify"));
  const auto report = place.replay(run_id);
  EXPECT_EQ(report.status().code(), Code::kDataLoss);
  EXPECT_THAT(report.status().message(), words);
  EXPECT_EQ(place.exported(run_id).status().code(), Code::kDataLoss);
  EXPECT_THAT(place.exported(run_id).status().message(), words);
  EXPECT_EQ(place.repeat({}, run_id).status().code(), Code::kDataLoss);
  const uint64_t last = place.tape_of(run_id).size();
  place.damaged.gone["run/" + run_id] = {last};
  EXPECT_THAT(place.replay(run_id).status().message(),
              HasSubstr("record " + std::to_string(last) + " of"));
}

TEST(DamagedTapes, ATapeThatEndsBeforeItsRunIsNotTheSame) {
  Place place;
  const std::string run_id = place.ask();
  const auto lines = lines_of(place.exported(run_id).value());
  const size_t records = place.tape_of(run_id).size();
  int waiting = 0;
  // Wherever it is cut, and also where the loop would have waited for the world.
  for (size_t keep = 1; keep <= records; ++keep) {
    std::vector<std::string> shorter = {lines[0]};
    for (size_t i = 1; i < lines.size(); ++i) {
      if (i <= keep || i > records) shorter.push_back(lines[i]);
    }
    const auto answer = place.read(file_of(shorter));
    ASSERT_TRUE(answer.ok()) << answer.status().to_string();
    EXPECT_EQ(answer->report().verdict(),
              keep == records ? api::REPLAY_VERDICT_SAME : api::REPLAY_VERDICT_DIVERGED)
        << keep;
    for (const auto& divergence : answer->report().divergences()) {
      waiting += divergence.wanted() == "the end of the run, which is over" ? 1 : 0;
    }
  }
  EXPECT_GT(waiting, 0);
}

TEST(DamagedTapes, OneThatCannotBeReadHidesNoOther) {
  Place place;
  const std::string first = place.ask();
  place.advance_ms(1'000);
  const std::string second = place.ask();
  place.advance_ms(1'000);
  const std::string third = place.ask();
  place.damaged.unreadable.emplace("run/" + second,
                                   Status(Code::kNotFound, "their file is missing"));
  place.damaged.gone["run/" + third] = {3};
  const auto all = place.all();
  ASSERT_TRUE(all.status.ok()) << all.status.to_string();
  ASSERT_THAT(all.reports, SizeIs(3));
  EXPECT_EQ(all.reports[0].verdict(), api::REPLAY_VERDICT_UNREADABLE);
  EXPECT_EQ(all.reports[0].run_id(), third);
  EXPECT_THAT(all.reports[0].problem(), HasSubstr("missing"));
  EXPECT_EQ(all.reports[1].problem(), "their file is missing");
  EXPECT_EQ(all.reports[2].verdict(), api::REPLAY_VERDICT_SAME);
  EXPECT_EQ(all.summary.runs(), 3u);
  EXPECT_EQ(all.summary.unreadable(), 2u);
  EXPECT_EQ(all.summary.same(), 1u);
  place.damaged.unreadable.insert_or_assign("run/" + first, Status(Code::kUnavailable, "closing"));
  EXPECT_EQ(place.all().status.code(), Code::kUnavailable) << "no journal is nobody's fault";
}

TEST(DamagedTapes, AnExportDoesWithoutAnEarlierRunThatIsDamaged) {
  Place place;
  const std::string first = place.ask();
  const std::string run_id = place.ask(place.run_of(first).session_id());
  ASSERT_TRUE(place.exported(run_id).ok());
  EXPECT_THAT(place.notes, IsEmpty());
  const auto expect_without = [&](const std::string& why) {
    const auto file = place.exported(run_id);
    ASSERT_TRUE(file.ok()) << file.status().to_string();
    EXPECT_THAT(place.notes, ElementsAre(AllOf(HasSubstr(first), HasSubstr(why))));
    const auto answer = place.read(*file);
    ASSERT_TRUE(answer.ok()) << answer.status().to_string();
    EXPECT_EQ(answer->report().verdict(), api::REPLAY_VERDICT_SAME);
    EXPECT_EQ(answer->report().prompt(), api::PROMPT_CHECK_NOT_VERIFIABLE);
  };
  place.damaged.gone["run/" + first] = {4};
  expect_without("missing");
  place.damaged.gone.clear();
  place.damaged.unreadable.emplace("run/" + first, Status(Code::kNotFound, "their file is gone"));
  expect_without("their file is gone");
  place.damaged.unreadable.clear();
  place.erase(first);
  expect_without("erased");
}

TEST(DamagedTapes, AnErasedRunIsExportedAndSaysSo) {
  Place place;
  const std::string run_id = place.ask();
  place.erase(run_id);
  const auto file = place.exported(run_id);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_THAT(place.notes, ElementsAre(HasSubstr("erased")));
  for (const auto& report : {place.replay(run_id).value(), place.read(*file).value().report()}) {
    EXPECT_EQ(report.verdict(), api::REPLAY_VERDICT_ERASED);
    EXPECT_EQ(report.run_id(), run_id);
  }
  const std::string other = place.ask();
  api::CompareRunsRequest compare;
  compare.set_run_id(run_id);
  compare.set_other_run_id(run_id);
  for (const std::string& beside : {run_id, other}) {
    compare.set_other_run_id(beside);
    const auto compared = place.run(place.replays.compare_runs(Place::caller(), compare));
    EXPECT_EQ(compared.status().code(), Code::kFailedPrecondition) << "nothing is known to be same";
    EXPECT_THAT(compared.status().message(), HasSubstr("erased"));
  }
  api::ReplayFileRequest first;
  first.set_compare_with(other);
  EXPECT_EQ(place.read(*file, first).status().code(), Code::kFailedPrecondition);
  api::ReplayFileRequest again;
  again.mutable_repeat();
  EXPECT_EQ(place.read(*file, again).status().code(), Code::kFailedPrecondition);
}

TEST(HostileFiles, TheLaneIsLeftToOthersAgainAndAgain) {
  Place place;
  const std::string run_id = place.ask();
  const int few = turns_during(
      place,
      place.replays.replay_file(Place::caller(), at_once(greedy_file(place, run_id, 1)), {}));
  const std::string file = greedy_file(place, run_id, 2'000);
  const int many =
      turns_during(place, place.replays.replay_file(Place::caller(), at_once(file), {}));
  EXPECT_GT(many, few + 2'000 / 300);
}

TEST(HostileFiles, WhoLeavesIsNotWorkedForAnyLonger) {
  Place place;
  const std::string file = greedy_file(place, place.ask(), 2'000);
  int asked = 0;
  const auto answer = place.read(file, {}, [&asked] { return ++asked == 3; });
  EXPECT_EQ(answer.status().code(), Code::kCancelled);
  EXPECT_EQ(asked, 3);
}

TEST(HostileFiles, WhatIsShownOnceIsCompiledOnce) {
  Place place;
  const std::string run_id = place.ask();
  const auto once = place.replay(run_id);
  const auto often = place.read(greedy_file(place, run_id, 50));
  ASSERT_TRUE(often.ok()) << often.status().to_string();
  EXPECT_EQ(often->report().verdict(), api::REPLAY_VERDICT_DIVERGED);
  EXPECT_EQ(often->report().segments(), once->segments());
}

TEST(HostileFiles, PromptsAreCompiledUpToALimit) {
  Place place;
  const std::string run_id = place.ask();
  RunFileReader reader;
  ASSERT_TRUE(reader.feed(place.exported(run_id).value()).ok());
  const RunFile file = reader.finish().value();
  for (const size_t limit : {kCompiledBytes, size_t{10}}) {
    Checker checker(check_schema_text);
    PromptSources sources;
    sources.blobs = file.blobs;
    PromptChecker prompts(sources, limit);
    size_t compiled = 0;
    for (const Record& record : file.records) {
      if (record.event.has_context_gathered()) {
        compiled += prompts.add(checker.state(), record.event.context_gathered(), 100);
      }
      checker.add(record.seq, record.wall_ns, record.event);
    }
    api::ReplayReport report;
    prompts.finish(report);
    EXPECT_GT(report.segments(), 0u);
    EXPECT_LE(compiled, limit);
    if (limit == kCompiledBytes) {
      EXPECT_EQ(report.segments_verified(), report.segments());
    } else {
      EXPECT_EQ(report.segments_verified(), 0u);
      EXPECT_EQ(report.prompt(), api::PROMPT_CHECK_NOT_VERIFIABLE);
      EXPECT_THAT(report.prompt_note(), HasSubstr("not compiled again"));
    }
  }
}

TEST(HostileFiles, NoMoreThanAFewAreReadAtOnce) {
  Place place;
  const std::string file = place.exported(place.ask()).value();
  std::vector<Slot<bool>> held;
  std::vector<std::shared_ptr<std::optional<Result<api::ReplayFileResponse>>>> answers;
  for (int i = 0; i <= kReplaysAtOnce; ++i) {
    const Slot<bool> slot = held.emplace_back();
    Receive<api::ReplayFileRequest> never =
        [slot]() -> Task<std::optional<api::ReplayFileRequest>> {
      co_await slot;
      co_return std::nullopt;
    };
    answers.push_back(place.begin(place.replays.replay_file(Place::caller(), never, {})));
  }
  place.executor.run_until_idle();
  ASSERT_TRUE(answers.back()->has_value());
  EXPECT_EQ((*answers.back())->status().code(), Code::kResourceExhausted);
  EXPECT_THAT((*answers.back())->status().message(), HasSubstr("try again"));
  EXPECT_EQ(place.read(file).status().code(), Code::kResourceExhausted);
  EXPECT_EQ(place.all().status.code(), Code::kResourceExhausted);
  held[0].set(true);
  place.executor.run_until_idle();
  EXPECT_TRUE(place.read(file).ok()) << "whoever is done makes room";
  for (const auto& slot : held) slot.set(true);
  place.executor.run_until_idle();
}

// A run whose model has just proposed so many calls.
std::vector<Record> run_with_calls(int calls, const std::string& arguments) {
  Place place;
  RunFileReader reader;
  EXPECT_TRUE(reader.feed(place.exported(place.ask()).value()).ok());
  std::vector<Record> records = std::move(reader.finish().value().records);
  for (size_t i = 0; i < records.size(); ++i) {
    if (!records[i].event.has_model_turn_finished()) continue;
    records.resize(i + 1);
    auto& finished = *records[i].event.mutable_model_turn_finished();
    const auto pattern = finished.tool_calls(0);
    finished.clear_tool_calls();
    for (int call = 0; call < calls; ++call) {
      auto& one = *finished.add_tool_calls();
      one = pattern;
      one.set_arguments_json(R"({"text":")" + arguments + R"("})");
    }
  }
  return records;
}

api::RunComparison compared(const std::vector<Record>& left, const std::vector<Record>& right) {
  run::State a;
  for (const Record& record : left) run::evolve(a, record.event, record.wall_ns, record.seq);
  run::State b;
  for (const Record& record : right) run::evolve(b, record.event, record.wall_ns, record.seq);
  Steps one(left, a);
  while (!one.whole()) one.add();
  Steps other(right, b);
  while (!other.whole()) other.add();
  return compare(one, other);
}

TEST(Comparison, LongArgumentsAreComparedWholeAndShownInPart) {
  const std::string text(120'000, 'x');
  const auto left = run_with_calls(5, text);
  const auto same = compared(left, left);
  ASSERT_EQ(same.steps_size(), 7);
  EXPECT_EQ(same.first_divergence(), -1);
  EXPECT_LT(same.ByteSizeLong(), size_t{1} << 20);
  EXPECT_EQ(same.steps(1).left().arguments_bytes(), 120'011);
  EXPECT_EQ(same.steps(1).left().arguments_json().size(), 16u * 1024);
  const auto other = compared(left, run_with_calls(5, text + "y"));
  EXPECT_EQ(other.first_divergence(), 1);
  EXPECT_EQ(other.explanation(), "The call of fs.read has other arguments.");
}

TEST(Comparison, ManyStepsFitIntoOneAnswer) {
  for (const int calls : {900, 20'000}) {
    const auto left = run_with_calls(calls, std::string(100, 'x'));
    auto right = left;
    right.back().event.mutable_model_turn_finished()->mutable_tool_calls()->rbegin()->set_name("a");
    const auto comparison = compared(left, right);
    EXPECT_LT(comparison.ByteSizeLong(), size_t{4} << 20) << calls;
    ASSERT_GE(comparison.first_divergence(), 0);
    ASSERT_LT(comparison.first_divergence(), comparison.steps_size());
    EXPECT_FALSE(comparison.steps(comparison.first_divergence()).same());
  }
}

}  // namespace
}  // namespace palyra::gateway::replay
