// The harness must be able to fail: each thing it looks for, once wrong.
#include "tests/chaos/conversation.h"
#include "tests/chaos/effects.h"
#include "tests/chaos/fault_vfs/unsynced.h"
#include "tests/chaos/report.h"
#include "tests/chaos/view.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace palyra::chaos {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Writes a tape; the time of a record is its sequence number.
class TapeWriter {
 public:
  TapeWriter() {
    tape_.run_id = "RUN";
    add().mutable_run_created();
  }
  tape::RunEvent& add() {
    Record record;
    record.seq = tape_.records.size() + 1;
    record.time_ns = static_cast<int64_t>(record.seq);
    tape_.records.push_back(record);
    return tape_.records.back().event;
  }
  void propose(const std::string& name, const std::string& arguments = "{}") {
    auto& proposed = *add().mutable_policy_started();
    proposed.mutable_start()->set_ordinal(1);
    proposed.mutable_start()->set_attempt(1);
    proposed.mutable_call()->set_name(name);
    proposed.mutable_call()->set_arguments_json(arguments);
    add().mutable_policy_evaluated()->set_ordinal(1);
  }
  void start(common::EffectClass effect, uint32_t attempt, bool verify = false,
             const std::string& key = "KEY") {
    auto& started = *add().mutable_tool_call_started();
    started.mutable_start()->set_ordinal(2);
    started.mutable_start()->set_attempt(attempt);
    started.mutable_start()->set_effect_class(effect);
    started.mutable_start()->set_idempotency_key(key);
    started.set_verify(verify);
  }
  void interrupt() { add().mutable_effect_interrupted()->set_ordinal(2); }
  void finish() { add().mutable_tool_call_finished()->set_ordinal(2); }
  void complete() { add().mutable_run_completed(); }
  const Tape& tape() const { return tape_; }

 private:
  Tape tape_;
};

std::vector<std::string> judge(const TapeWriter& writer, const World& world) {
  EffectCounts counts;
  return compare({examine(writer.tape())}, world, &counts);
}

TEST(TapeTest, AKillIsCountedWhereTheTapeWasCut) {
  TapeWriter writer;
  writer.propose("test.keyed");                 // 2, 3
  writer.start(common::EFFECT_CLASS_KEYED, 1);  // 4
  writer.finish();                              // 5
  auto& model = *writer.add().mutable_model_turn_started();
  model.mutable_start()->set_ordinal(3);
  model.mutable_start()->set_attempt(1);
  writer.add().mutable_model_turn_finished()->set_ordinal(3);
  writer.complete();
  EXPECT_THAT(phases_at(writer.tape(), 0), IsEmpty());
  EXPECT_THAT(phases_at(writer.tape(), 1), ElementsAre(Phase::kQueued));
  EXPECT_THAT(phases_at(writer.tape(), 4), ElementsAre(Phase::kToolKeyed));
  EXPECT_THAT(phases_at(writer.tape(), 6), ElementsAre(Phase::kModelTurn));
  EXPECT_THAT(phases_at(writer.tape(), 8), ElementsAre(Phase::kFinished));
  EXPECT_THAT(examine(writer.tape()).problems, IsEmpty());
}

TEST(TapeTest, AResultWithoutStartASecondResultAndAChangedKeyAreProblems) {
  TapeWriter writer;
  writer.propose("test.keyed");
  writer.finish();
  writer.start(common::EFFECT_CLASS_KEYED, 1);
  writer.interrupt();
  writer.start(common::EFFECT_CLASS_KEYED, 2, false, "OTHER");
  writer.complete();
  writer.finish();
  const auto problems = examine(writer.tape()).problems;
  EXPECT_THAT(problems, Contains(HasSubstr("ends what is not in flight")));
  EXPECT_THAT(problems, Contains(HasSubstr("the idempotency key changed")));
  EXPECT_THAT(problems, Contains(HasSubstr("effect 2 is in flight")));
  EXPECT_THAT(problems, Contains(HasSubstr("after the end")));
}

TEST(EffectsTest, AKeyedCallHasExactlyOneEffect) {
  TapeWriter writer;
  writer.propose("test.keyed");
  writer.start(common::EFFECT_CLASS_KEYED, 1);
  writer.interrupt();
  writer.start(common::EFFECT_CLASS_KEYED, 2);
  writer.finish();
  writer.complete();
  World world;
  EXPECT_THAT(judge(writer, world), ElementsAre(HasSubstr("finished without effect")));
  world.keyed.push_back({"KEY", "RUN", "v"});
  EXPECT_THAT(judge(writer, world), IsEmpty());
  world.keyed.push_back({"KEY", "RUN", "v"});
  EXPECT_THAT(judge(writer, world), ElementsAre(HasSubstr("2 effects")));
}

TEST(EffectsTest, AnOpaqueCallNeverRunsTwice) {
  TapeWriter writer;
  writer.propose("test.opaque");
  writer.start(common::EFFECT_CLASS_OPAQUE, 1);
  writer.interrupt();
  writer.start(common::EFFECT_CLASS_OPAQUE, 2);
  writer.finish();
  World world;
  world.opaque = {{"KEY", "RUN", "v"}, {"KEY", "RUN", "v"}};
  const auto problems = judge(writer, world);
  EXPECT_THAT(problems, Contains(HasSubstr("started twice")));
  EXPECT_THAT(problems, Contains(HasSubstr("2 effects")));
}

TEST(EffectsTest, AnEffectThatNoTapeExplainsIsAProblem) {
  World world;
  world.opaque.push_back({"STRAY", "RUN", "v"});
  world.files["a.txt"] = "x";
  EXPECT_THAT(judge(TapeWriter(), world), SizeIs(2));
}

TEST(EffectsTest, AFileIsAsTheLastFinishedWriteSays) {
  TapeWriter writer;
  writer.propose("fs.write", R"({"path": "a.txt", "content": "right"})");
  writer.start(common::EFFECT_CLASS_VERIFIABLE, 1);
  writer.interrupt();
  writer.start(common::EFFECT_CLASS_VERIFIABLE, 2, true);
  writer.finish();
  writer.complete();
  World world;
  EXPECT_THAT(judge(writer, world), ElementsAre(HasSubstr("missing")));
  world.files["a.txt"] = "wrong";
  EXPECT_THAT(judge(writer, world), ElementsAre(HasSubstr("not as written")));
  world.files["a.txt"] = "right";
  EXPECT_THAT(judge(writer, world), IsEmpty());
  world.files[".palyra-1.tmp"] = "";
  EXPECT_THAT(judge(writer, world), ElementsAre(HasSubstr("temporary")));
}

api::RunStreamEvent durable(uint64_t seq) {
  api::RunStreamEvent event;
  event.set_run_id("RUN");
  event.set_seq(seq);
  return event;
}

api::RunStreamEvent delta(uint32_t attempt, uint64_t offset, const std::string& text) {
  api::RunStreamEvent event;
  event.set_run_id("RUN");
  event.mutable_model_delta()->set_turn(1);
  event.mutable_model_delta()->set_attempt(attempt);
  event.mutable_model_delta()->set_offset(offset);
  event.mutable_model_delta()->set_text(text);
  return event;
}

api::RunStreamEvent completed(uint64_t seq, const std::string& text) {
  auto event = durable(seq);
  event.mutable_status()->set_state(api::RUN_STATE_COMPLETED);
  event.mutable_status()->set_text(text);
  return event;
}

TEST(ViewTest, ARestartedTurnBeginsAgainAndEndsAsTheAnswer) {
  RunView view;
  view.see(durable(1));
  view.see(delta(1, 0, "hel"));
  EXPECT_EQ(view.place().from_seq(), 2u);
  EXPECT_EQ(view.place().offset(), 3u);
  EXPECT_EQ(view.place().attempt(), 1u);
  api::RunStreamEvent restarted;
  restarted.set_run_id("RUN");
  restarted.mutable_turn_restarted()->set_turn(1);
  restarted.mutable_turn_restarted()->set_attempt(2);
  view.see(restarted);
  view.see(delta(2, 0, "hello"));
  view.see(completed(2, "hello"));
  EXPECT_THAT(view.problems, IsEmpty());
}

TEST(ViewTest, GapsRepetitionsAndAnotherAnswerAreProblems) {
  RunView view;
  view.see(durable(1));
  view.see(durable(3));
  view.see(delta(1, 0, "ab"));
  view.see(delta(1, 1, "b"));
  view.see(delta(2, 3, "c"));
  view.see(completed(4, "other"));
  view.see(durable(5));
  EXPECT_THAT(view.problems,
              ElementsAre(HasSubstr("sequence 3 after 1"), HasSubstr("at 1 after 2"),
                          HasSubstr("without turn_restarted"), HasSubstr("the answer is \"other\""),
                          HasSubstr("after the end")));
}

TEST(ReportTest, AKillBeforeTheAcknowledgementIsAdmission) {
  TapeWriter writer;
  writer.propose("test.keyed");
  writer.start(common::EFFECT_CLASS_KEYED, 1);
  Kill kill;
  kill.label = "a";
  kill.generation = 1;
  kill.wall_ns = 100;
  std::map<std::string, Tape> tapes{{"RUN", writer.tape()}};
  const auto in_life = [&](uint64_t generation) {
    return classify({kill}, {{"a", Promise{"a", "RUN", "S", generation}}}, tapes);
  };
  EXPECT_EQ(in_life(2).at(Phase::kAdmission), 1);
  EXPECT_EQ(in_life(1).at(Phase::kToolKeyed), 1);
  EXPECT_EQ(in_life(1).between, 1);
  EXPECT_EQ(classify({kill}, {}, tapes).at(Phase::kAdmission), 1);
  EXPECT_THAT(missing(in_life(1)), SizeIs(12));
}

TEST(PlanTest, EachAimComesAsOftenAsTheOthers) {
  Random random(1);
  const auto aims = make_aims(4 * kAims, random);
  for (int i = 0; i < kAims; ++i) {
    EXPECT_EQ(std::count(aims.begin(), aims.end(), static_cast<Aim>(i)), 4);
  }
}

TEST(PlanTest, AKillThatHitTheStoreIsCountedWhereItStruck) {
  Random random(1);
  std::vector<Kill> kills(3);
  kills[0].plan = make_store_plan(kStorePoints[6], random);
  kills[0].in_store = true;
  kills[1].plan = make_plan(Aim::kModelTurn, random);
  kills[2] = kills[0];
  const StoreCounts counts = count_store(kills);
  EXPECT_EQ(counts[6], 2);
  EXPECT_EQ(std::count(counts.begin(), counts.end(), 0), int64_t{kStorePoints.size()} - 1);
}

// A file and what has been written to it, by way of Unsynced.
class UnsyncedTest : public testing::Test {
 protected:
  void write(int64_t offset, const std::string& data) {
    unsynced_.will_write(offset, data.data(), data.size());
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offset);
    file << data;
  }
  void truncate(int64_t size) {
    unsynced_.will_truncate(size);
    std::filesystem::resize_file(path_, static_cast<uintmax_t>(size));
  }
  std::string content() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  e2e::TempDir directory_;
  const std::string path_ = directory_.write("file", "0123456789");
  Unsynced unsynced_{path_};
  std::mt19937_64 random_{1};
};

TEST_F(UnsyncedTest, APowerCutTakesBackWhatWasNotSynced) {
  write(2, "ab");
  unsynced_.synced();
  write(1, "XYZ");
  write(8, "long tail");
  truncate(4);
  EXPECT_EQ(content(), "0XYZ");
  EXPECT_EQ(unsynced_.lose(100, random_, false), 3u);
  EXPECT_EQ(content(), "01ab456789");
}

TEST_F(UnsyncedTest, ATornWriteStaysAlthoughThoseBeforeItAreLost) {
  write(0, "AAAA");
  write(2, "BB");
  EXPECT_EQ(unsynced_.lose(100, random_, true), 1u);
  EXPECT_EQ(content(), "01BB456789");
}

TEST_F(UnsyncedTest, APartOfTheWritesMayBeLostInAnyPlace) {
  std::set<std::string> outcomes;
  for (int i = 0; i < 64; ++i) {
    write(0, "A");
    write(1, "B");
    unsynced_.lose(50, random_, false);
    outcomes.insert(content().substr(0, 2));
    std::ofstream(path_) << "0123456789";
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"01", "A1", "0B", "AB"}));
}

// ---- conversations

// Tapes of sessions and runs, written as the daemon writes them.
class Talk {
 public:
  explicit Talk(std::string id) : id_(std::move(id)) { add().mutable_session_created(); }
  Talk(std::string id, const std::string& from) : Talk(std::move(id)) {
    events_[0].mutable_session_created()->mutable_branched_from()->set_turn_id(from);
    head_ = from;
  }

  // A message that was answered: turn "t" of run "run-t".
  Talk& turn(const std::string& id) {
    accept("run-" + id);
    tape::TurnAdded& added = *add().mutable_turn_added();
    added.set_turn_id(id);
    added.set_parent(head_);
    added.set_run_id("run-" + id);
    head_ = id;
    return *this;
  }
  Talk& move(const std::string& to) {
    tape::HeadMoved& moved = *add().mutable_head_moved();
    moved.set_from_turn(head_);
    moved.set_turn_id(to);
    head_ = to;
    return *this;
  }
  Talk& compacted(const std::string& run, const std::string& up_to, uint32_t turns) {
    accept(run);
    tape::Compacted& compacted = *add().mutable_compacted();
    compacted.set_artifact_digest("digest of " + run);
    compacted.set_run_id(run);
    compacted.mutable_up_to()->set_turn_id(up_to);
    compacted.set_turns(turns);
    return *this;
  }
  tape::SessionEvent& add() { return events_.emplace_back(); }
  const std::string& id() const { return id_; }
  Conversation read() const { return follow(id_, events_); }

 private:
  void accept(const std::string& run) {
    add().mutable_input_accepted()->set_run_id(run);
    add().mutable_input_taken()->set_run_id(run);
  }
  const std::string id_;
  std::vector<tape::SessionEvent> events_;
  std::string head_;
};

Tape run_in(const Talk& talk, const std::string& run_id, bool sums_up = false) {
  Tape tape;
  tape.run_id = run_id;
  tape.records.resize(2);
  auto& created = *tape.records[0].event.mutable_run_created();
  created.set_session_id(talk.id());
  if (sums_up) {
    created.set_purpose(tape::RUN_PURPOSE_COMPACT);
    auto& finished = *tape.records[1].event.mutable_compaction_finished();
    finished.set_artifact_digest("digest of " + run_id);
    tape.records.emplace_back();
  }
  tape.records.back().event.mutable_run_completed();
  return tape;
}

std::vector<std::string> judge(const std::vector<Talk>& talks, const std::vector<Tape>& runs,
                               const History& history = {}, HistoryCounts* counts = nullptr) {
  std::map<std::string, Conversation> conversations;
  std::map<std::string, Tape> tapes;
  HistoryCounts unused;
  for (const Talk& talk : talks) conversations.emplace(talk.id(), talk.read());
  for (const Tape& tape : runs) tapes.emplace(tape.run_id, tape);
  return compare(conversations, tapes, history, counts != nullptr ? counts : &unused);
}

TEST(ConversationTest, ATurnFollowsTheHeadWhereverThatWasMoved) {
  Talk talk("S");
  talk.turn("1").turn("2").move("1").turn("3").move("").turn("4");
  EXPECT_THAT(judge({talk}, {}), IsEmpty());
  const Conversation read = talk.read();
  EXPECT_EQ(read.head, "4");
  EXPECT_THAT(path(tree_of({{"S", read}}), "3"), ElementsAre("3", "1"));
  talk.add().mutable_turn_added()->set_parent("2");
  EXPECT_THAT(judge({talk}, {}), Contains(HasSubstr("does not follow 4")));
}

TEST(ConversationTest, AnAnsweredRunIsATurn) {
  Talk talk("S");
  talk.turn("1");
  EXPECT_THAT(judge({talk}, {run_in(talk, "run-1")}), IsEmpty());
  EXPECT_THAT(judge({talk}, {run_in(talk, "run-1"), run_in(talk, "run-2")}),
              ElementsAre(HasSubstr("run-2 was answered and is no turn")));
}

TEST(ConversationTest, AnAcknowledgedBranchIsThereWithItsTurns) {
  Talk talk("S");
  talk.turn("1").turn("2");
  Talk branch("B", "1");
  branch.turn("3");
  History history;
  history.branches["b"] = {"S", "1", "B"};
  HistoryCounts counts;
  EXPECT_THAT(judge({talk, branch}, {}, history, &counts), IsEmpty());
  EXPECT_EQ(counts.branches_there, 1u);
  EXPECT_EQ(counts.turns, 3u);
  EXPECT_THAT(judge({talk}, {}, history), ElementsAre(HasSubstr("not there or begins elsewhere")));
  EXPECT_THAT(judge({talk, Talk("B", "2")}, {}, history), SizeIs(1));
  // Its turns are those of the other one, which must not lose them.
  EXPECT_THAT(judge({Talk("S"), branch}, {}, history), Contains(HasSubstr("which is nowhere")));
}

TEST(ConversationTest, AnAcknowledgedRewindIsOnTheTape) {
  Talk talk("S");
  talk.turn("1").turn("2").turn("3").move("1").move("3");
  History history;
  history.moves["S"] = {"1", "3"};
  EXPECT_THAT(judge({talk}, {}, history), IsEmpty());
  history.moves["S"] = {"3", "1"};
  HistoryCounts counts;
  EXPECT_THAT(judge({talk}, {}, history, &counts), ElementsAre(HasSubstr("1 acknowledged")));
  EXPECT_EQ(counts.moves, 2u);
  EXPECT_EQ(counts.moves_there, 1u);
}

TEST(ConversationTest, ASummaryIsOnBothTapesAndStandsForTheTurnsThatLeadThere) {
  Talk talk("S");
  talk.turn("1").turn("2").turn("3");
  Talk summed = talk;
  summed.compacted("sum", "2", 2);
  const Tape run = run_in(talk, "sum", true);
  HistoryCounts counts;
  EXPECT_THAT(judge({summed}, {run}, {}, &counts), IsEmpty());
  EXPECT_EQ(counts.compactions_there, 1u);
  EXPECT_EQ(counts.covered, 2u);
  History history;
  history.compactions["sum"] = "S";
  EXPECT_THAT(judge({talk}, {run}, history),
              ElementsAre(HasSubstr("its session shows 0"), HasSubstr("shows no summary")));
  Talk short_of_one = talk;
  short_of_one.compacted("sum", "2", 1);
  EXPECT_THAT(judge({short_of_one}, {run}),
              ElementsAre(HasSubstr("stands for 1 turns and ends at one with 2")));
}

}  // namespace
}  // namespace palyra::chaos
