// Tapes of a whole gateway are replayed: what the loop made it makes again, and what somebody
// changed is found.
#include "plugins/gateway/replay/check.h"

#include "plugins/gateway/replay/words.h"
#include "plugins/gateway/session/testing.h"

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>

namespace palyra::gateway::replay {
namespace {

using gateway::testing::House;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace effect = palyra::common::v1;

std::string none(std::string_view, std::string_view) { return {}; }

std::vector<Record> tape_of(House& house, const std::string& run_id) {
  service::ReadRequest request;
  request.set_stream("run/" + run_id);
  auto page = house.run(house.journal.read(request));
  std::vector<Record> out;
  for (const auto& record : page.value().records()) {
    Record& one = out.emplace_back();
    one.seq = record.seq();
    one.wall_ns = record.wall_time_ns();
    one.event.ParseFromString(record.payload());
  }
  return out;
}

std::string lines(const api::ReplayReport& report) {
  std::string out;
  for (const auto& divergence : report.divergences()) out += to_line(divergence) + "\n";
  return out;
}

// A run with a read, an approved write and a crash in the middle of it.
std::vector<Record> busy_tape(effect::EffectClass write = effect::EFFECT_CLASS_IDEMPOTENT) {
  House house;
  house.tools.add_text("fs.read", service::TOOL_ACCESS_READ, effect::EFFECT_CLASS_NONE,
                       "forty-two");
  house.tools.add_text("fs.write", service::TOOL_ACCESS_WRITE, write, "written");
  house.tools.verified.set_outcome(service::CALL_OUTCOME_NOT_HAPPENED);
  house.providers.fail(Status(Code::kUnavailable, "busy", PALYRA_ERROR_RETRYABLE),
                       service::FAILURE_KIND_UNAVAILABLE);
  house.providers.call("fs.read", R"({"path":"a"})");
  house.providers.call("fs.write", R"({"path":"b"})");
  house.providers.say({"Done."});
  const auto accepted = house.send("copy a to b");
  house.executor.run_until_idle();
  house.advance_ms(5'000);
  house.tools.hang = true;
  EXPECT_TRUE(
      house.decide(house.pending().at(0).request().approval_id(), tape::APPROVAL_VERDICT_ALLOW)
          .ok());
  house.executor.run_until_idle();
  house.crash();
  house.tools.hang = false;
  house.start();
  house.executor.run_until_idle();
  EXPECT_EQ(house.run_of(accepted.value().run_id).state(), api::RUN_STATE_COMPLETED);
  return tape_of(house, accepted.value().run_id);
}

TEST(ReplayCheck, WhatTheLoopMadeItMakesAgain) {
  for (const auto write :
       {effect::EFFECT_CLASS_NONE, effect::EFFECT_CLASS_IDEMPOTENT, effect::EFFECT_CLASS_KEYED,
        effect::EFFECT_CLASS_VERIFIABLE, effect::EFFECT_CLASS_OPAQUE}) {
    const auto tape = busy_tape(write);
    const auto report = check(tape, none);
    EXPECT_EQ(report.verdict(), api::REPLAY_VERDICT_SAME) << write << "\n" << lines(report);
    EXPECT_EQ(report.records(), tape.size());
    EXPECT_GT(report.compared(), tape.size() / 2);
    EXPECT_EQ(report.state(), api::RUN_STATE_COMPLETED);
  }
}

TEST(ReplayCheck, ARunThatIsNotOverIsTheSameSoFar) {
  House house;
  house.providers.hang({"half"});
  const auto first = house.send("1");
  const auto queued = house.send("2", first.value().session_id);
  EXPECT_EQ(check(tape_of(house, first.value().run_id), none).verdict(), api::REPLAY_VERDICT_SAME);
  EXPECT_EQ(check(tape_of(house, queued.value().run_id), none).verdict(), api::REPLAY_VERDICT_SAME);
}

TEST(ReplayCheck, NoRecordCanBeTakenOutWithoutBeingFound) {
  const auto tape = busy_tape();
  for (size_t missing = 0; missing < tape.size(); ++missing) {
    // Without it the cut would be that of a plugin that died, which is a history, too.
    if (tape[missing].event.has_run_resumed()) continue;
    auto shorter = tape;
    shorter.erase(shorter.begin() + static_cast<ptrdiff_t>(missing));
    const auto report = check(shorter, none);
    EXPECT_EQ(report.verdict(), api::REPLAY_VERDICT_DIVERGED) << describe(tape[missing].event);
    ASSERT_GE(report.divergences_size(), 1);
    EXPECT_GE(report.divergences(0).seq(), missing);
  }
}

TEST(ReplayCheck, AChangedFieldIsNamed) {
  auto tape = busy_tape();
  for (Record& record : tape) {
    if (!record.event.has_model_turn_started()) continue;
    auto& start = *record.event.mutable_model_turn_started()->mutable_start();
    start.set_reserved_tokens(start.reserved_tokens() + 1);
    break;
  }
  const auto report = check(tape, none);
  EXPECT_EQ(report.verdict(), api::REPLAY_VERDICT_DIVERGED);
  ASSERT_GE(report.divergences_size(), 1);
  EXPECT_THAT(report.divergences(0).fields(), Contains("start.reserved_tokens"));
  EXPECT_THAT(to_line(report.divergences(0)), HasSubstr("model_turn_started #"));
}

TEST(ReplayCheck, AnswersOfAnotherWorldLeadElsewhere) {
  auto tape = busy_tape();
  for (Record& record : tape) {
    if (!record.event.has_model_turn_finished()) continue;
    record.event.mutable_model_turn_finished()->clear_tool_calls();
    record.event.mutable_model_turn_finished()->set_finish_reason(service::FINISH_REASON_STOP);
    record.event.mutable_model_turn_finished()->set_text("No need.");
    break;
  }
  const auto report = check(tape, none);
  ASSERT_GE(report.divergences_size(), 1);
  EXPECT_THAT(report.divergences(0).wanted(), HasSubstr("run_completed"));
  EXPECT_THAT(report.divergences(0).recorded(), HasSubstr("policy_started"));
}

TEST(ReplayCheck, ATapeOfAnotherVersionIsAReport) {
  auto tape = busy_tape();
  for (Record& record : tape) {
    if (record.event.has_run_started()) {
      record.event.mutable_run_started()->set_loop_version(run::kLoopVersion + 1);
    }
  }
  const auto report = check(tape, none);
  EXPECT_EQ(report.verdict(), api::REPLAY_VERDICT_OTHER_VERSION);
  EXPECT_EQ(report.loop_version(), run::kLoopVersion + 1);
  EXPECT_GE(report.divergences_size(), 1);
}

TEST(ReplayCheck, AnUnknownRecordIsADivergenceAndErasedOnesAreSaid) {
  auto tape = busy_tape();
  tape[6].event.Clear();
  EXPECT_EQ(check(tape, none).verdict(), api::REPLAY_VERDICT_DIVERGED);
  Checker checker(none);
  checker.add(1, tape[0].wall_ns, tape[0].event);
  checker.add_erased(2);
  EXPECT_EQ(checker.finish().verdict(), api::REPLAY_VERDICT_ERASED);
}

TEST(ReplayCheck, AnyRecordsAreReplayedWithoutHarm) {
  const google::protobuf::LogSilencer silence;
  const auto tape = busy_tape();
  gateway::testing::SeededRandom random(17);
  for (int round = 0; round < 200; ++round) {
    auto mixed = tape;
    uint8_t dice[8];
    random.fill(dice, sizeof(dice));
    std::swap(mixed[dice[0] % mixed.size()], mixed[dice[1] % mixed.size()]);
    std::string bytes = mixed[dice[2] % mixed.size()].event.SerializeAsString();
    if (!bytes.empty()) bytes[dice[3] % bytes.size()] = static_cast<char>(dice[4]);
    tape::RunEvent changed;
    static_cast<void>(changed.ParseFromString(bytes));
    mixed[dice[2] % mixed.size()].event = changed;
    const auto report = check(mixed, none);
    EXPECT_EQ(report.records(), tape.size());
    EXPECT_LE(report.divergences_size(), 16);
  }
}

}  // namespace
}  // namespace palyra::gateway::replay
