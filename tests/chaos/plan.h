// Where the next kill is aimed. Pure: the same seed makes the same plans.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace palyra::chaos {

using Random = std::mt19937_64;

// What the tools of the load can do; kMixed in a call's place means more than one.
enum class ToolKind { kNone, kKeyed, kOpaque, kVerifiable, kMixed };

enum class Aim {
  kAdmission,
  kModelTurn,
  kToolNone,
  kToolKeyed,
  kToolOpaque,
  kToolVerifiable,
  kApproval,
  kFinishing,
  kRecovery,
  kAnywhere,
};
constexpr int kAims = static_cast<int>(Aim::kAnywhere) + 1;

// What a client has just done or seen.
enum class Moment {
  kSending,  // a message is about to be sent
  kModelStarted,
  kDelta,
  kAllDeltas,  // the last one: the end of the turn is being written
  kToolStarted,
  kAsked,
  kDeciding,  // a decision is about to be sent
  kEnded,
  kOther,
};

// When the aimed-at moment has come.
enum class Trigger {
  kAtOnce,
  kSpin,    // after spin_us
  kEffect,  // when the effect of the call can be seen from outside
};

struct Plan {
  Aim aim = Aim::kAnywhere;
  int skip = 0;  // moments that fit and pass first
  Trigger trigger = Trigger::kAtOnce;
  int64_t spin_us = 0;
};

Plan make_plan(Aim aim, Random& random);
// `count` aims, each as often as the others, in any order.
std::vector<Aim> make_aims(int count, Random& random);
bool fits(const Plan& plan, Moment moment, ToolKind tool);
const char* name_of(Aim aim);

// 0 .. below - 1.
inline int64_t draw(Random& random, int64_t below) {
  return static_cast<int64_t>(random() % static_cast<uint64_t>(below));
}
// True in `percent` of all cases.
inline bool chance(Random& random, int percent) { return draw(random, 100) < percent; }

}  // namespace palyra::chaos
