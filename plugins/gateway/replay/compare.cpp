#include "plugins/gateway/replay/compare.h"

#include "plugins/common/digest/digest.h"
#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/replay/recording.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway::replay {
namespace {

// Of a text that is shown, and of all of them together.
constexpr size_t kShownBytes = 16 * 1024;
constexpr size_t kShownInAll = size_t{2} << 20;
// Of the name of a tool or a model.
constexpr size_t kNameBytes = 128;
// Steps on a side that are aligned; beyond it they are paired as they come.
constexpr size_t kAligned = 1'000;
// Pairs that are shown.
constexpr int kShownPairs = 4'096;

// Canonical arguments cost several times their length.
constexpr size_t kArgumentWork = 8;

using Step = Steps::Step;

std::string beginning(const std::string& text, size_t bytes) {
  return std::string(utf8::prefix(text, bytes));
}

void set_called(Step& step, const std::string& tool, const std::string& arguments) {
  step.called = digest::sha256(tool + '\0' + arguments);
  step.shown.set_tool(beginning(tool, kNameBytes));
  step.shown.set_arguments_json(beginning(arguments, kShownBytes));
  step.shown.set_arguments_bytes(static_cast<int64_t>(arguments.size()));
}

void set_answer(Step& step, const std::string& text, bool is_error) {
  step.answer = digest::sha256((is_error ? "error " : "answer ") + text);
  step.shown.set_is_error(is_error);
  step.shown.set_text(beginning(text, kShownBytes));
  step.shown.set_text_bytes(static_cast<int64_t>(text.size()));
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

bool same(const Step& a, const Step& b) {
  return a.shown.kind() == b.shown.kind() && a.called == b.called && a.answer == b.answer;
}

// How well two steps stand beside each other; 0 = not at all.
int likeness(const Step& a, const Step& b) {
  if (a.shown.kind() != b.shown.kind()) return 0;
  if (same(a, b)) return 4;
  if (a.shown.kind() == "tool") {
    if (a.called == b.called) return 3;
    return a.shown.tool() == b.shown.tool() ? 1 : 0;
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
  if (left->called != right->called) {
    return what + " has other arguments.";
  }
  if (left->shown.kind() == "tool") return what + " has another result.";
  return what + " differs.";
}

// With at most so many bytes of each text.
api::RunStep cut(const Step& step, size_t bytes) {
  api::RunStep out = step.shown;
  out.set_arguments_json(beginning(out.arguments_json(), bytes));
  out.set_text(beginning(out.text(), bytes));
  return out;
}

}  // namespace

Steps::Steps(const std::vector<Record>& records, const run::State& state)
    : state_(state), usage_(state.turns.size()) {
  for (const Record& record : records) {
    if (!record.event.has_model_turn_finished()) continue;
    const auto& finished = record.event.model_turn_finished();
    if (finished.turn() >= 1 && finished.turn() <= usage_.size()) {
      usage_[finished.turn() - 1] = finished.usage();
    }
  }
}

size_t Steps::add() {
  if (turn_ == state_.turns.size()) {
    if (whole_) return 0;
    whole_ = true;
    Step end;
    end.shown.set_kind("end");
    set_answer(end, end_words(state_), false);
    list_.push_back(std::move(end));
    return state_.final_text.size();
  }
  const run::Turn& turn = state_.turns[turn_++];
  if (turn.finished_seq == 0) return 0;
  size_t work = turn.text.size();
  Step said;
  said.shown.set_kind("model");
  said.shown.set_turn(turn.number);
  *said.shown.mutable_usage() = usage_[turn.number - 1];
  set_answer(said, turn.text, false);
  list_.push_back(std::move(said));
  for (const run::Call& call : turn.calls) {
    Step called;
    called.shown.set_kind("tool");
    called.shown.set_turn(turn.number);
    set_called(called, call.call.name(), canonical_arguments(call.call.arguments_json()));
    set_answer(called, call.content, call.is_error);
    work += call.content.size() + kArgumentWork * call.call.arguments_json().size();
    list_.push_back(std::move(called));
  }
  return work;
}

api::RunComparison compare(const Steps& left, const Steps& right) {
  const std::vector<Step>& a = left.list();
  const std::vector<Step>& b = right.list();
  // Two texts a step.
  const size_t bytes = std::min(kShownBytes, kShownInAll / 2 / (a.size() + b.size()));
  api::RunComparison out;
  out.set_left_run(left.state().run_id());
  out.set_right_run(right.state().run_id());
  out.set_left_model(beginning(left.state().created.agent().model(), kNameBytes));
  out.set_right_model(beginning(right.state().created.agent().model(), kNameBytes));
  *out.mutable_left_usage() = left.state().usage;
  *out.mutable_right_usage() = right.state().usage;
  out.set_first_divergence(-1);
  out.set_explanation("The runs are the same, step by step.");
  for (const auto& [one, other] : align(a, b)) {
    const bool equal = one != nullptr && other != nullptr && same(*one, *other);
    const bool first = !equal && out.first_divergence() < 0;
    if (out.steps_size() >= kShownPairs && !first) continue;
    api::StepPair& pair = *out.add_steps();
    if (one != nullptr) *pair.mutable_left() = cut(*one, bytes);
    if (other != nullptr) *pair.mutable_right() = cut(*other, bytes);
    pair.set_same(equal);
    if (!first) continue;
    out.set_first_divergence(out.steps_size() - 1);
    out.set_explanation(explain(one, other));
  }
  return out;
}

}  // namespace palyra::gateway::replay
