// Where the next kill is aimed. Pure: the same seed makes the same plans.
#pragma once

#include "tests/chaos/fault_vfs/control.h"

#include <array>
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
  kRetry,   // while a run waits before it asks the model again
  kQueued,  // while a run waits behind another one
  kFinishing,
  kCompaction,  // while a model sums up
  kHistory,     // while a branch, a rewind or a compaction is asked for
  kRecovery,
  kStore,  // in an operation of the journal's files
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
  kRetrying,  // the wait before another attempt began
  kQueued,    // a message was taken that waits behind another one
  kTidying,   // a branch, a rewind or a compaction is about to be asked for
  kCompacting,
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
  // Of kStore, and of a kRecovery with operations: the power goes at that many such operations from
  // now, and of what was not synced so many percent are lost.
  StorePoint point;
  bool any_operation = false;  // not only those of `point`, whose `cut` counts
  int64_t operations = 0;
  uint32_t loss = 0;
  uint64_t seed = 0;
};

// All that a kill of kStore may hit. A sync has no middle.
constexpr std::array<StorePoint, 10> kStorePoints = {{
    {StoreFile::kLog, Operation::kWrite, Cut::kBefore},
    {StoreFile::kLog, Operation::kWrite, Cut::kTorn},
    {StoreFile::kLog, Operation::kWrite, Cut::kAfter},
    {StoreFile::kLog, Operation::kSync, Cut::kBefore},
    {StoreFile::kLog, Operation::kSync, Cut::kAfter},
    {StoreFile::kDatabase, Operation::kWrite, Cut::kBefore},
    {StoreFile::kDatabase, Operation::kWrite, Cut::kTorn},
    {StoreFile::kDatabase, Operation::kWrite, Cut::kAfter},
    {StoreFile::kDatabase, Operation::kSync, Cut::kBefore},
    {StoreFile::kDatabase, Operation::kSync, Cut::kAfter},
}};

Plan make_plan(Aim aim, Random& random);
Plan make_store_plan(const StorePoint& point, Random& random);
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
