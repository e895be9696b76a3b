// Seeded random walks: whatever the world answers, in whatever order, with crashes anywhere, the
// loop keeps its promises. A failure prints the seed; run with PALYRA_SEED=<n> to see it alone.
#include "plugins/gateway/run/compile.h"
#include "plugins/gateway/run/inputs.h"
#include "plugins/gateway/run/testing/story.h"

#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <set>

namespace palyra::gateway::run {
namespace {

using testing::fold;
using testing::Record;
using testing::Story;

// All that decide() looks at, as text.
std::string dump(const State& state) {
  std::string out;
  const auto add = [&](const auto& value) { out += std::to_string(value) + " "; };
  add(static_cast<int>(state.phase));
  add(state.next_ordinal);
  add(state.last_seq);
  add(state.settled_tokens);
  add(state.reserved_tokens);
  add(state.running_ns);
  add(state.tool_calls);
  add(state.rejections);
  out += state.corrupt + "|" + state.repeated_tool + "|" + state.final_text + "\n";
  for (const auto& [ordinal, effect] : state.in_flight) {
    add(ordinal);
    add(static_cast<int>(effect.kind));
    add(effect.attempt);
    add(effect.reserved_tokens);
  }
  for (const Input& input : state.inputs) {
    add(input.after_turn);
    out += input.added.text();
  }
  for (const Compaction& compaction : state.compactions) {
    add(static_cast<int>(compaction.trigger));
    add(static_cast<int>(compaction.outcome));
    add(compaction.slot.attempt);
  }
  for (const Turn& turn : state.turns) {
    out += "\n";
    add(static_cast<int>(turn.phase));
    add(turn.failures);
    add(static_cast<int>(turn.compact));
    out += turn.text + turn.rejected;
    for (const Call& call : turn.calls) {
      add(static_cast<int>(call.phase));
      add(call.round);
      add(call.tool.attempt);
      out += call.content;
    }
  }
  return out;
}

std::string dump(const Decision& decision) {
  std::string out = std::to_string(decision.begin) + std::to_string(decision.stop_in_flight);
  for (const Wanted& wanted : decision.start) {
    out += " " + std::to_string(static_cast<int>(wanted.kind)) + ":" +
           std::to_string(wanted.ordinal) + ":" + std::to_string(wanted.attempt) + ":" +
           std::to_string(wanted.call_index) + ":" + std::to_string(wanted.reserved_tokens);
  }
  for (const auto& event : decision.append) out += event.ShortDebugString();
  return out;
}

class Walk {
 public:
  explicit Walk(uint64_t seed) : random_(seed) {}

  int64_t pick(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }
  bool chance(int percent) { return pick(1, 100) <= percent; }

  tape::RunLimits limits() {
    tape::RunLimits limits;
    limits.set_max_turns(static_cast<uint32_t>(pick(1, 6)));
    limits.set_max_tool_calls(static_cast<uint32_t>(pick(1, 12)));
    limits.set_max_repeated_failures(static_cast<uint32_t>(pick(1, 3)));
    limits.set_max_parallel_tools(static_cast<uint32_t>(pick(1, 4)));
    limits.set_max_output_tokens(pick(1, 500));
    if (chance(50)) limits.set_max_tokens(pick(1, 5'000));
    if (chance(20)) limits.set_max_running_ms(pick(1, 100'000));
    return limits;
  }

  // What the world says about one effect in flight.
  tape::RunEvent result_of(const Story& story, const Effect& effect) {
    tape::RunEvent event;
    switch (effect.kind) {
      case EffectKind::kContext:
        event.mutable_context_gathered()->set_ordinal(effect.ordinal);
        event.mutable_context_gathered()->set_tokens(pick(0, 300));
        event.mutable_context_gathered()->set_compaction_wanted(chance(30));
        for (int64_t turns = pick(0, 9); turns > 0; --turns) {
          auto& segment = *event.mutable_context_gathered()->add_segments();
          segment.set_kind(tape::SEGMENT_KIND_HISTORY);
          segment.set_tokens(pick(0, 100));
        }
        break;
      case EffectKind::kCompaction:
        return compaction_result(effect);
      case EffectKind::kModel:
        return model_result(story, effect);
      case EffectKind::kPolicy: {
        auto& evaluated = *event.mutable_policy_evaluated();
        evaluated.set_ordinal(effect.ordinal);
        evaluated.set_verdict(static_cast<tape::Verdict>(pick(0, 3)));
        evaluated.set_rule(chance(80) ? "r" : "s");
        evaluated.set_effect_class(static_cast<common::EffectClass>(pick(0, 5)));
        evaluated.set_parallel_safe(chance(50));
        break;
      }
      case EffectKind::kApproval: {
        auto& decided = *event.mutable_approval_decided();
        decided.set_ordinal(effect.ordinal);
        decided.set_approval_id(effect.approval_id);
        decided.set_verdict(static_cast<tape::ApprovalVerdict>(pick(1, 3)));
        break;
      }
      case EffectKind::kTool:
        return tool_result(effect);
      case EffectKind::kTimer:
        event.mutable_timer_fired()->set_ordinal(effect.ordinal);
        break;
    }
    return event;
  }

 private:
  tape::RunEvent model_result(const Story& story, const Effect& effect) {
    tape::RunEvent event;
    if (chance(15)) {
      auto& failed = *event.mutable_model_turn_failed();
      failed.set_ordinal(effect.ordinal);
      failed.set_attempt(effect.attempt);
      failed.set_kind(static_cast<service::FailureKind>(pick(0, 10)));
      failed.mutable_failure()->set_retryable(chance(70));
      failed.mutable_failure()->set_message(chance(50) ? "one" : "two");
      return event;
    }
    auto& finished = *event.mutable_model_turn_finished();
    finished.set_ordinal(effect.ordinal);
    finished.set_attempt(effect.attempt);
    finished.set_finish_reason(static_cast<service::FinishReason>(pick(1, 4)));
    const int64_t input = story.state.turns.back().gathered.tokens();
    finished.mutable_usage()->set_input_tokens(pick(0, input));
    finished.mutable_usage()->set_output_tokens(
        pick(0, effect.reserved_tokens - story.state.turns.back().gathered.tokens()));
    if (chance(60)) {
      for (int64_t i = pick(1, 4); i > 0; --i) {
        auto& call = *finished.add_tool_calls();
        call.set_name(chance(50) ? "a" : "b");
        call.set_arguments_json("{\"n\":" + std::to_string(pick(0, 2)) + "}");
      }
    } else if (chance(80)) {
      finished.set_text("The answer is 4.");
    }
    return event;
  }

  tape::RunEvent compaction_result(const Effect& effect) {
    tape::RunEvent event;
    if (chance(30)) {
      auto& failed = *event.mutable_compaction_failed();
      failed.set_ordinal(effect.ordinal);
      failed.set_attempt(effect.attempt);
      if (chance(50)) failed.mutable_usage();
      return event;
    }
    auto& finished = *event.mutable_compaction_finished();
    finished.set_ordinal(effect.ordinal);
    finished.set_attempt(effect.attempt);
    finished.mutable_usage()->set_output_tokens(pick(0, effect.reserved_tokens));
    return event;
  }

  tape::RunEvent tool_result(const Effect& effect) {
    tape::RunEvent event;
    if (effect.verify && chance(60)) {
      auto& verified = *event.mutable_tool_call_verified();
      verified.set_ordinal(effect.ordinal);
      verified.set_attempt(effect.attempt);
      verified.set_outcome(static_cast<service::CallOutcome>(pick(0, 3)));
      return event;
    }
    auto& finished = *event.mutable_tool_call_finished();
    finished.set_ordinal(effect.ordinal);
    finished.set_attempt(effect.attempt);
    finished.set_content(chance(50) ? "ok" : "no");
    finished.set_is_error(chance(40));
    return event;
  }

  std::mt19937_64 random_;
};

struct Promises {
  std::set<uint64_t> ordinals;
  std::map<uint64_t, int> opaque_starts;

  // Does what decide() wants and checks it on the way.
  void advance(Story& story) {
    for (int round = 0; !story.state.terminal(); ++round) {
      ASSERT_LT(round, 50) << "decide() never comes to rest";
      const Decision decision = decide(story.state, story.schema_check);
      ASSERT_EQ(dump(decision), dump(decide(story.state, story.schema_check)));
      if (decision.idle()) return;
      uint64_t next = story.state.next_ordinal;
      for (const Wanted& wanted : decision.start) {
        ASSERT_EQ(story.state.in_flight.count(wanted.ordinal), 0U) << "wanted twice";
        ASSERT_FALSE(story.state.stopping());
        if (wanted.attempt == 1) {
          ASSERT_EQ(wanted.ordinal, next++);
          ASSERT_TRUE(ordinals.insert(wanted.ordinal).second);
        } else {
          ASSERT_EQ(ordinals.count(wanted.ordinal), 1U);
        }
        if (wanted.kind == EffectKind::kTool &&
            wanted.effect_class == common::EFFECT_CLASS_OPAQUE) {
          ASSERT_EQ(++opaque_starts[wanted.ordinal], 1) << "opaque started twice";
        }
      }
      if (decision.begin) {
        tape::RunEvent event;
        event.mutable_run_started()->set_loop_version(kLoopVersion);
        story.append(event);
      }
      story.append(decision.append);
      std::vector<tape::RunEvent> events;
      for (const Wanted& wanted : decision.start) {
        events.push_back(started_event(story.state, wanted, {story.now_ns / 1'000'000, "01A"}));
      }
      story.append(events);
      ASSERT_EQ(story.state.corrupt, "");
      for (const Wanted& wanted : decision.start) {
        ASSERT_EQ(story.state.in_flight.count(wanted.ordinal), 1U);
      }
      check_budget(story);
    }
  }

  static void check_budget(const Story& story) {
    const int64_t limit = story.state.limits().max_tokens();
    if (limit > 0) {
      ASSERT_LE(story.state.settled_tokens + story.state.reserved_tokens, limit);
    }
    ASSERT_GE(story.state.reserved_tokens, 0);
  }
};

// Every joined message is shown once, at its place; a run that completed has shown all of them.
void check_inputs(const State& state, size_t joined) {
  ASSERT_EQ(state.inputs.size(), joined);
  std::string shown = input_piece(state).messages.parsed().front().text();
  for (const Piece& piece : run_pieces(state)) {
    if (piece.segment.kind() != tape::SEGMENT_KIND_INPUT) continue;
    for (const auto& message : piece.messages.parsed()) shown += message.text();
  }
  for (size_t i = 0; i < joined; ++i) {
    const std::string words = "[message " + std::to_string(i) + "]";
    const size_t first = shown.find(words);
    ASSERT_NE(first, std::string::npos);
    ASSERT_EQ(shown.find(words, first + 1), std::string::npos);
  }
  if (state.phase == Phase::kCompleted && !state.compacts()) {
    ASSERT_FALSE(has_unseen_input(state));
  }
}

void walk(uint64_t seed) {
  Walk world(seed);
  Story story(world.limits());
  if (world.chance(20)) story.created().set_ask_mode(tape::ASK_MODE_DENY);
  if (world.chance(10)) story.created().set_purpose(tape::RUN_PURPOSE_COMPACT);
  tape::RunEvent created;
  *created.mutable_run_created() = story.created();
  story.append(created);
  Promises promises;
  std::vector<tape::RunEvent> past;
  const bool talkative = world.chance(40);
  size_t joined = 0;
  const auto join = [&] {
    tape::RunEvent event;
    auto& added = *event.mutable_input_added();
    added.set_text("[message " + std::to_string(joined++) + "]");
    added.set_provenance(static_cast<common::Provenance>(world.pick(0, 5)));
    added.set_mode(static_cast<tape::QueueMode>(world.pick(0, 4)));
    story.append(event);
  };
  while (talkative && world.chance(50)) join();
  for (int step = 0; step < 400 && !story.state.terminal(); ++step) {
    ASSERT_NO_FATAL_FAILURE(promises.advance(story)) << "seed " << seed << " step " << step;
    if (story.state.terminal()) break;
    story.after_ms(world.pick(0, 3'000));
    if (!past.empty() && world.chance(10)) {
      const auto& late =
          past[static_cast<size_t>(world.pick(0, static_cast<int64_t>(past.size()) - 1))];
      story.append(late);
      ASSERT_EQ(story.state.corrupt, "") << "seed " << seed;
    }
    if (world.chance(8)) {
      const State folded = fold(story.tape);
      ASSERT_EQ(dump(folded), dump(story.state)) << "seed " << seed;
      story.state = folded;
      story.after_ms(world.pick(0, 100'000));
      story.append(recover_events(story.state, 2, "part"));
      continue;
    }
    if (talkative && world.chance(10)) {
      join();
      ASSERT_NO_FATAL_FAILURE(promises.advance(story)) << "seed " << seed << " step " << step;
      if (story.state.terminal()) break;
    }
    if (world.chance(1)) {
      tape::RunEvent event;
      event.mutable_cancel_requested();
      story.append(event);
      continue;
    }
    if (decide(story.state, story.schema_check).stop_in_flight && world.chance(50)) {
      story.append(interrupt_events(story.state, "", "out of grace"));
      continue;
    }
    ASSERT_FALSE(story.state.in_flight.empty()) << "stuck: seed " << seed << " step " << step;
    auto chosen = story.state.in_flight.begin();
    std::advance(chosen, world.pick(0, static_cast<int64_t>(story.state.in_flight.size()) - 1));
    const Effect effect = chosen->second;
    const tape::RunEvent result = world.result_of(story, effect);
    story.append(result);
    ASSERT_EQ(story.state.in_flight.count(effect.ordinal), 0U) << "seed " << seed;
    past.push_back(result);
  }
  ASSERT_TRUE(story.state.terminal()) << "seed " << seed << " did not end";
  ASSERT_TRUE(story.state.in_flight.empty());
  ASSERT_EQ(story.state.reserved_tokens, 0);
  ASSERT_NO_FATAL_FAILURE(check_inputs(story.state, joined)) << "seed " << seed;
  ASSERT_EQ(promises.ordinals.size(), story.state.next_ordinal - 1) << "gap in the ordinals";
  // Every prefix folds to something that decide() answers for, the same on each fold.
  for (size_t cut = 0; cut <= story.tape.size(); cut += 1 + story.tape.size() / 8) {
    const std::vector<Record> prefix(story.tape.begin(),
                                     story.tape.begin() + static_cast<std::ptrdiff_t>(cut));
    const State one = fold(prefix);
    ASSERT_EQ(dump(one), dump(fold(prefix)));
    ASSERT_EQ(dump(decide(one, story.schema_check)), dump(decide(one, story.schema_check)));
  }
}

TEST(Walk, EveryRunEndsAndKeepsItsPromises) {
  if (const char* one = std::getenv("PALYRA_SEED"); one != nullptr) {
    return walk(std::strtoull(one, nullptr, 10));
  }
  for (uint64_t seed = 1; seed <= 3'000 && !HasFatalFailure(); ++seed) walk(seed);
}

// A tape of every kind of record, for the hostile tests.
std::vector<Record> rich_tape() {
  Story story;
  story.begin().context_of(9, true).crash().compacted().context_of(7, false, true);
  story.model_fails(service::FAILURE_KIND_CONTEXT_OVERFLOW, false).compacted().context();
  story.model_fails(service::FAILURE_KIND_UNAVAILABLE, true).timer().crash("x");
  story.model("", {{"a"}, {"b"}, {"c"}});
  story.policy(0, tape::VERDICT_ASK).policy(1, tape::VERDICT_ALLOW);
  story.policy(2, tape::VERDICT_ALLOW, common::EFFECT_CLASS_VERIFIABLE);
  story.approval(0, tape::APPROVAL_VERDICT_ALLOW).policy(0, tape::VERDICT_ALLOW).crash();
  story.tool(0, "x").tool(1, "y").verified_not_happened(2).tool(2, "z");
  story.context().model("").context();
  tape::RunEvent added;
  added.mutable_input_added()->set_text("and then?");
  story.append(added);
  added.mutable_input_added()->set_mode(tape::QUEUE_MODE_INTERRUPT);
  story.append(added);
  story.append(interrupt_events(story.state, "so f", "cut"));
  story.step().context().model("", {{"d"}});
  story.policy(0, tape::VERDICT_ALLOW, common::EFFECT_CLASS_OPAQUE).crash().cancel().crash();
  return story.tape;
}

// No state, however it came about, makes the core throw, hang or want what it cannot name.
void survive(const State& state) {
  const Decision decision =
      decide(state, [](std::string_view, std::string_view) { return std::string(); });
  for (const Wanted& wanted : decision.start) started_event(state, wanted, {1, "01A"});
  recover_events(state, 3, "partial");
  interrupt_events(state, "partial", "why");
  run_state(state);
  wait_reason(state);
  running_time_ends_ns(state);
}

TEST(HostileTape, TruncatedShuffledAndMutatedRecordsNeverCrashTheFold) {
  const std::vector<Record> tape = rich_tape();
  ASSERT_GT(tape.size(), 30U);
  const google::protobuf::LogSilencer silence;  // about text that is not UTF-8
  for (uint64_t seed = 1; seed <= 2'000; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
    State state;
    const size_t keep = below(tape.size() + 1);
    uint64_t seq = 0;
    for (size_t i = 0; i < keep; ++i) evolve(state, tape[i].event, tape[i].wall_ns, ++seq);
    for (int i = 0; i < 20; ++i) {
      std::string bytes = tape[below(tape.size())].event.SerializeAsString();
      for (size_t flips = below(4); flips > 0 && !bytes.empty(); --flips) {
        bytes[below(bytes.size())] = static_cast<char>(random());
      }
      if (random() % 8 == 0) bytes.resize(below(bytes.size() + 1));
      tape::RunEvent event;
      if (!event.ParseFromString(bytes)) continue;
      evolve(state, event, static_cast<int64_t>(random()), ++seq);
      survive(state);
    }
  }
}

TEST(HostileTape, ARecordOfTheFutureWaitsForTheOperator) {
  Story story;
  story.begin();
  tape::RunEvent event;
  ASSERT_TRUE(event.ParseFromString(std::string("\xa2\x1f\x00", 3)));  // field 500, a message
  story.append(event);
  EXPECT_EQ(wait_reason(story.state), api::WAIT_REASON_OPERATOR);
  EXPECT_TRUE(decide(story.state, nullptr).idle());
}

}  // namespace
}  // namespace palyra::gateway::run
