#include "clients/cli/compare_view.h"

#include "clients/cli/terminal.h"
#include "clients/cli/text.h"
#include "clients/cli/words.h"

#include <algorithm>
#include <sys/ioctl.h>
#include <vector>

namespace palyra::cli {

namespace {

namespace api = palyra::gateway::v1;

// Of one side of one step.
constexpr size_t kLines = 40;

std::string name_of(const api::RunStep& step) {
  if (step.kind() == "tool") return "call " + step.tool() + " " + step.arguments_json();
  if (step.kind() == "end") return "end";
  return "model, turn " + std::to_string(step.turn());
}

std::vector<std::string> lines_of(const api::RunStep& step, size_t width) {
  std::vector<std::string> lines = wrapped(name_of(step), width);
  std::vector<std::string> text = wrapped(step.text(), width - 2);
  if (lines.size() > 4) lines.resize(4);
  const bool cut = text.size() > kLines;
  if (cut) text.resize(kLines);
  for (const std::string& line : text) lines.push_back("  " + line);
  if (cut || step.text_bytes() > static_cast<int64_t>(step.text().size())) {
    lines.push_back("  ... (" + std::to_string(step.text_bytes()) + " bytes)");
  }
  return lines;
}

std::string tokens(const palyra::common::v1::Usage& usage) {
  return std::to_string(usage.input_tokens()) + " in, " + std::to_string(usage.output_tokens()) +
         " out";
}

std::vector<std::string> lines_of(const api::ComparedTurn& turn, size_t width) {
  std::vector<std::string> lines = {turn.turn().turn_id()};
  const auto add = [&](const char* mark, const std::string& text, int64_t bytes) {
    std::vector<std::string> wanted = wrapped(text, width - 2);
    const bool cut = wanted.size() > kLines || bytes > static_cast<int64_t>(text.size());
    if (wanted.size() > kLines) wanted.resize(kLines);
    for (const std::string& line : wanted) {
      lines.push_back(mark + line);
      mark = "  ";
    }
    if (cut) lines.push_back("  ... (" + std::to_string(bytes) + " bytes)");
  };
  add("> ", turn.message(), turn.message_bytes());
  add("< ", turn.answer(), turn.answer_bytes());
  return lines;
}

}  // namespace

int terminal_width(int fd) {
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

std::string render(const api::RunComparison& comparison, int width) {
  const bool beside = width >= 80;
  const size_t column = beside ? static_cast<size_t>(width - 3) / 2 : 76;
  std::string out;
  const auto row = [&](const std::string& left, const std::string& right) {
    out += padded(left, column) + " | " + right + "\n";
  };
  const std::string left = comparison.left_run() + " " + comparison.left_model();
  const std::string right = comparison.right_run() + " " + comparison.right_model();
  if (beside) {
    row(shortened(left, column), shortened(right, column));
  } else {
    out += "- " + one_line(left) + "\n+ " + one_line(right) + "\n";
  }
  for (int i = 0; i < comparison.steps_size(); ++i) {
    const api::StepPair& pair = comparison.steps(i);
    if (pair.same()) {
      out += styled(Style::kDim, "= " + shortened(name_of(pair.left()), column)) + "\n";
      continue;
    }
    std::vector<std::string> a;
    std::vector<std::string> b;
    if (pair.has_left()) a = lines_of(pair.left(), column);
    if (pair.has_right()) b = lines_of(pair.right(), column);
    if (!beside) {
      for (const auto& line : a) out += "- " + line + "\n";
      for (const auto& line : b) out += "+ " + line + "\n";
      continue;
    }
    for (size_t line = 0; line < std::max(a.size(), b.size()); ++line) {
      row(line < a.size() ? a[line] : "", line < b.size() ? b[line] : "");
    }
  }
  out += "tokens: " + tokens(comparison.left_usage()) + " against " +
         tokens(comparison.right_usage()) + "\n";
  out += comparison.first_divergence() < 0
             ? styled(Style::kGreen, comparison.explanation())
             : styled(Style::kBold, "first difference: ") + one_line(comparison.explanation());
  return out + "\n";
}

std::string render(const api::CompareSessionsResponse& comparison, const std::string& left,
                   const std::string& right, int width) {
  const bool beside = width >= 80;
  const size_t column = beside ? static_cast<size_t>(width - 3) / 2 : 76;
  std::string out;
  const auto row = [&](const std::string& one, const std::string& other) {
    out += padded(one, column) + " | " + other + "\n";
  };
  if (comparison.has_common()) {
    const api::ComparedTurn& common = comparison.common();
    out += styled(Style::kDim,
                  "= " + common.turn().turn_id() + " " + shortened(common.message(), column)) +
           "\n";
  } else {
    out += "They have no turn in common.\n";
  }
  if (beside) {
    row(shortened(left, column), shortened(right, column));
    for (int i = 0; i < std::max(comparison.left_size(), comparison.right_size()); ++i) {
      std::vector<std::string> one;
      std::vector<std::string> other;
      if (i < comparison.left_size()) one = lines_of(comparison.left(i), column);
      if (i < comparison.right_size()) other = lines_of(comparison.right(i), column);
      for (size_t line = 0; line < std::max(one.size(), other.size()); ++line) {
        row(line < one.size() ? one[line] : "", line < other.size() ? other[line] : "");
      }
    }
  } else {
    out += "- " + one_line(left) + "\n";
    for (const auto& turn : comparison.left()) {
      for (const auto& line : lines_of(turn, column)) out += "- " + line + "\n";
    }
    out += "+ " + one_line(right) + "\n";
    for (const auto& turn : comparison.right()) {
      for (const auto& line : lines_of(turn, column)) out += "+ " + line + "\n";
    }
  }
  return out + "since then: " + counted(comparison.left_turns(), "turn") + " against " +
         counted(comparison.right_turns(), "turn") + "\n";
}

}  // namespace palyra::cli
