// Coverage: which records of the tape have been at which place when a daemon went away.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace palyra::sim {

// Where a record was when its daemon went away.
enum class Point : uint8_t {
  kLost,       // asked to be written; the power went before it was durable
  kUntold,     // durable; the daemon went before it was told
  kNewest,     // durable and told; the newest of its stream that the daemon knew
  kTakenOver,  // the same, and the daemon was paused while another took over
  kRunning,    // it starts an effect, which was under way
  kHappened,   // it starts a tool call, which had had its effect and had not answered
};
constexpr size_t kPoints = 6;
constexpr size_t kRows = 160;

// Types are rows: those of RunEvent by field number, those of SessionEvent from 100 on.
class Coverage {
 public:
  // -1 for a type of neither (stream audit).
  static int row(std::string_view type);

  void count(int row, Point point) {
    if (row >= 0) ++counts_[static_cast<size_t>(row)][static_cast<size_t>(point)];
  }
  void add(const Coverage& other);
  // The matrix for people, and whether it is whole: nothing zero that can be, nothing that was said
  // to be impossible.
  std::string table() const;
  // Empty if whole, otherwise one line a flaw.
  std::string flaws() const;

 private:
  std::array<std::array<uint64_t, kPoints>, kRows> counts_{};
};

}  // namespace palyra::sim
