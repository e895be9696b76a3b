#include "plugins/gateway/replay/compare.h"

#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/replay/recording.h"
#include "plugins/gateway/run/evolve.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway::replay {
namespace {

constexpr size_t kShownBytes = 16 * 1024;
// Steps on a side that are aligned; beyond it they are paired as they come.
constexpr size_t kAligned = 1'000;

struct Step {
  api::RunStep shown;
  std::string text;  // all of it
};

void set_text(Step& step, std::string text) {
  step.shown.set_text_bytes(static_cast<int64_t>(text.size()));
  step.shown.set_text(std::string(utf8::prefix(text, kShownBytes)));
  step.text = std::move(text);
}

run::State fold(const std::vector<Record>& records) {
  run::State state;
  for (const Record& record : records) {
    run::evolve(state, record.event, record.wall_ns, record.seq);
  }
  return state;
}

std::string end_words(const run::State& state) {
  switch (state.phase) {
    case run::Phase::kCompleted:
      return "completed: " + state.final_text;
    case run::Phase::kFailed:
      return "failed: " + state.failure.message();
    case run::Phase::kCancelled:
      return "cancelled";
    default:
      return "not over";
  }
}

std::vector<Step> all_steps(const std::vector<Record>& records, const run::State& state) {
  std::vector<palyra::common::v1::Usage> usage(state.turns.size());
  for (const Record& record : records) {
    if (!record.event.has_model_turn_finished()) continue;
    const auto& finished = record.event.model_turn_finished();
    if (finished.turn() >= 1 && finished.turn() <= usage.size()) {
      usage[finished.turn() - 1] = finished.usage();
    }
  }
  std::vector<Step> steps;
  for (const run::Turn& turn : state.turns) {
    if (turn.finished_seq == 0) continue;
    Step said;
    said.shown.set_kind("model");
    said.shown.set_turn(turn.number);
    *said.shown.mutable_usage() = usage[turn.number - 1];
    set_text(said, turn.text);
    steps.push_back(std::move(said));
    for (const run::Call& call : turn.calls) {
      Step called;
      called.shown.set_kind("tool");
      called.shown.set_turn(turn.number);
      called.shown.set_tool(call.call.name());
      called.shown.set_arguments_json(canonical_arguments(call.call.arguments_json()));
      called.shown.set_is_error(call.is_error);
      set_text(called, call.content);
      steps.push_back(std::move(called));
    }
  }
  Step end;
  end.shown.set_kind("end");
  set_text(end, end_words(state));
  steps.push_back(std::move(end));
  return steps;
}

bool same(const Step& a, const Step& b) {
  return a.shown.kind() == b.shown.kind() && a.text == b.text && a.shown.tool() == b.shown.tool() &&
         a.shown.arguments_json() == b.shown.arguments_json() &&
         a.shown.is_error() == b.shown.is_error();
}

// How well two steps stand beside each other; 0 = not at all.
int likeness(const Step& a, const Step& b) {
  if (a.shown.kind() != b.shown.kind()) return 0;
  if (same(a, b)) return 4;
  if (a.shown.kind() == "tool") {
    if (a.shown.tool() != b.shown.tool()) return 0;
    return a.shown.arguments_json() == b.shown.arguments_json() ? 3 : 1;
  }
  return a.shown.turn() == b.shown.turn() ? 2 : 1;
}

using Pairs = std::vector<std::pair<const Step*, const Step*>>;

// The alignment with the greatest likeness in all.
Pairs align(const std::vector<Step>& left, const std::vector<Step>& right) {
  Pairs pairs;
  if (left.size() > kAligned || right.size() > kAligned) {
    for (size_t i = 0; i < std::max(left.size(), right.size()); ++i) {
      pairs.emplace_back(i < left.size() ? &left[i] : nullptr,
                         i < right.size() ? &right[i] : nullptr);
    }
    return pairs;
  }
  const size_t width = right.size() + 1;
  std::vector<int> best((left.size() + 1) * width, 0);
  for (size_t i = left.size(); i-- > 0;) {
    for (size_t j = right.size(); j-- > 0;) {
      const int like = likeness(left[i], right[j]);
      const int both = like == 0 ? 0 : like + best[(i + 1) * width + j + 1];
      best[i * width + j] = std::max({both, best[(i + 1) * width + j], best[i * width + j + 1]});
    }
  }
  size_t i = 0;
  size_t j = 0;
  while (i < left.size() || j < right.size()) {
    const int here = i < left.size() && j < right.size() ? likeness(left[i], right[j]) : 0;
    if (here > 0 && best[i * width + j] == here + best[(i + 1) * width + j + 1]) {
      pairs.emplace_back(&left[i++], &right[j++]);
    } else if (j == right.size() ||
               (i < left.size() && best[(i + 1) * width + j] >= best[i * width + j + 1])) {
      pairs.emplace_back(&left[i++], nullptr);
    } else {
      pairs.emplace_back(nullptr, &right[j++]);
    }
  }
  return pairs;
}

std::string name_of(const api::RunStep& step) {
  if (step.kind() == "tool") return "the call of " + step.tool();
  if (step.kind() == "end") return "the end";
  return "what the model says in turn " + std::to_string(step.turn());
}

std::string explain(const Step* left, const Step* right) {
  if (left == nullptr) return "Only the second run has " + name_of(right->shown) + ".";
  if (right == nullptr) return "Only the first run has " + name_of(left->shown) + ".";
  std::string what = name_of(left->shown);
  what[0] = static_cast<char>(what[0] - 'a' + 'A');
  if (left->shown.arguments_json() != right->shown.arguments_json()) {
    return what + " has other arguments.";
  }
  if (left->shown.kind() == "tool") return what + " has another result.";
  return what + " differs.";
}

}  // namespace

std::vector<api::RunStep> steps_of(const std::vector<Record>& records) {
  std::vector<api::RunStep> out;
  for (Step& step : all_steps(records, fold(records))) out.push_back(std::move(step.shown));
  return out;
}

api::RunComparison compare(const std::vector<Record>& left, const std::vector<Record>& right) {
  const run::State first = fold(left);
  const run::State second = fold(right);
  const std::vector<Step> a = all_steps(left, first);
  const std::vector<Step> b = all_steps(right, second);
  api::RunComparison out;
  out.set_left_run(first.run_id());
  out.set_right_run(second.run_id());
  out.set_left_model(first.created.agent().model());
  out.set_right_model(second.created.agent().model());
  *out.mutable_left_usage() = first.usage;
  *out.mutable_right_usage() = second.usage;
  out.set_first_divergence(-1);
  out.set_explanation("The runs are the same, step by step.");
  for (const auto& [one, other] : align(a, b)) {
    api::StepPair& pair = *out.add_steps();
    if (one != nullptr) *pair.mutable_left() = one->shown;
    if (other != nullptr) *pair.mutable_right() = other->shown;
    pair.set_same(one != nullptr && other != nullptr && same(*one, *other));
    if (pair.same() || out.first_divergence() >= 0) continue;
    out.set_first_divergence(out.steps_size() - 1);
    out.set_explanation(explain(one, other));
  }
  return out;
}

}  // namespace palyra::gateway::replay
