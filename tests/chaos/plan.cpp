#include "tests/chaos/plan.h"

#include <algorithm>

namespace palyra::chaos {

Plan make_plan(Aim aim, Random& random) {
  Plan plan;
  plan.aim = aim;
  const int64_t how = draw(random, 3);
  switch (aim) {
    case Aim::kAdmission:
      plan.skip = static_cast<int>(draw(random, 3));
      plan.trigger = Trigger::kSpin;
      plan.spin_us = draw(random, 2'500);
      break;
    case Aim::kModelTurn:
      plan.skip = static_cast<int>(draw(random, 30));
      break;
    case Aim::kToolNone:
    case Aim::kToolKeyed:
    case Aim::kToolOpaque:
    case Aim::kToolVerifiable:
      plan.skip = static_cast<int>(draw(random, 2));
      plan.trigger = how == 0 ? Trigger::kAtOnce : how == 1 ? Trigger::kSpin : Trigger::kEffect;
      plan.spin_us = draw(random, aim == Aim::kToolVerifiable ? 1'500 : 10'000);
      break;
    case Aim::kApproval:
      plan.skip = static_cast<int>(draw(random, 3));
      plan.trigger = how == 0 ? Trigger::kSpin : Trigger::kAtOnce;
      plan.spin_us = draw(random, 1'500);
      break;
    case Aim::kRetry:
      plan.trigger = how == 0 ? Trigger::kAtOnce : Trigger::kSpin;
      plan.spin_us = draw(random, 50'000);
      break;
    case Aim::kQueued:
      plan.skip = static_cast<int>(draw(random, 3));
      break;
    case Aim::kFinishing:
      plan.skip = static_cast<int>(draw(random, 4));
      plan.trigger = how == 0 ? Trigger::kSpin : Trigger::kAtOnce;
      plan.spin_us = draw(random, 1'500);
      break;
    case Aim::kCompaction:
      plan.trigger = how == 0 ? Trigger::kAtOnce : Trigger::kSpin;
      plan.spin_us = draw(random, 30'000);
      break;
    case Aim::kHistory:
      plan.skip = static_cast<int>(draw(random, 2));
      plan.trigger = Trigger::kSpin;
      plan.spin_us = draw(random, 2'500);
      break;
    case Aim::kRecovery:
      if (how == 0) {
        const StoreFile file = chance(random, 70) ? StoreFile::kLog : StoreFile::kDatabase;
        plan = make_store_plan({file, Operation::kWrite, Cut::kTorn}, random);
        plan.aim = aim;
        plan.operations = 1 + draw(random, 30);
      }
      // Of a start that takes a thousand; the harness knows how long one takes.
      plan.spin_us = draw(random, 1'300);
      break;
    case Aim::kStore:
      return make_store_plan(
          kStorePoints[static_cast<size_t>(draw(random, int64_t{kStorePoints.size()}))], random);
    case Aim::kAnywhere:
      plan.skip = static_cast<int>(draw(random, 60));
      break;
  }
  return plan;
}

Plan make_store_plan(const StorePoint& point, Random& random) {
  Plan plan;
  plan.aim = Aim::kStore;
  plan.point = point;
  const bool write = point.operation == Operation::kWrite;
  const bool log = point.file == StoreFile::kLog;
  // A commit writes some dozens of pages to the log and syncs it once; a checkpoint writes hundreds
  // to the database and syncs it once.
  plan.operations = 1 + draw(random, write ? 300 : log ? 30 : 1);
  plan.loss = static_cast<uint32_t>(draw(random, 3)) * 50;
  plan.seed = random();
  return plan;
}

std::vector<Aim> make_aims(int count, Random& random) {
  std::vector<Aim> aims;
  while (static_cast<int>(aims.size()) < count) {
    std::vector<Aim> round;
    for (int i = 0; i < kAims; ++i) round.push_back(static_cast<Aim>(i));
    std::shuffle(round.begin(), round.end(), random);
    aims.insert(aims.end(), round.begin(), round.end());
  }
  aims.resize(static_cast<size_t>(count));
  return aims;
}

bool fits(const Plan& plan, Moment moment, ToolKind tool) {
  switch (plan.aim) {
    case Aim::kAdmission:
      return moment == Moment::kSending;
    case Aim::kModelTurn:
      return moment == Moment::kModelStarted || moment == Moment::kDelta;
    case Aim::kToolNone:
      return moment == Moment::kToolStarted && tool == ToolKind::kNone;
    case Aim::kToolKeyed:
      return moment == Moment::kToolStarted && tool == ToolKind::kKeyed;
    case Aim::kToolOpaque:
      return moment == Moment::kToolStarted && tool == ToolKind::kOpaque;
    case Aim::kToolVerifiable:
      return moment == Moment::kToolStarted && tool == ToolKind::kVerifiable;
    case Aim::kApproval:
      return plan.trigger == Trigger::kSpin ? moment == Moment::kDeciding
                                            : moment == Moment::kAsked;
    case Aim::kRetry:
      return moment == Moment::kRetrying;
    case Aim::kQueued:
      return moment == Moment::kQueued;
    case Aim::kFinishing:
      return plan.trigger == Trigger::kSpin ? moment == Moment::kAllDeltas
                                            : moment == Moment::kEnded;
    case Aim::kCompaction:
      return moment == Moment::kCompacting;
    case Aim::kHistory:
      return moment == Moment::kTidying;
    case Aim::kRecovery:
    case Aim::kStore:
      return false;
    case Aim::kAnywhere:
      return true;
  }
  return false;
}

const char* name_of(Aim aim) {
  switch (aim) {
    case Aim::kAdmission:
      return "admission";
    case Aim::kModelTurn:
      return "model turn";
    case Aim::kToolNone:
      return "tool none";
    case Aim::kToolKeyed:
      return "tool keyed";
    case Aim::kToolOpaque:
      return "tool opaque";
    case Aim::kToolVerifiable:
      return "tool verifiable";
    case Aim::kApproval:
      return "approval";
    case Aim::kRetry:
      return "retry";
    case Aim::kQueued:
      return "queued";
    case Aim::kFinishing:
      return "finishing";
    case Aim::kCompaction:
      return "compaction";
    case Aim::kHistory:
      return "history";
    case Aim::kRecovery:
      return "recovery";
    case Aim::kStore:
      return "store";
    case Aim::kAnywhere:
      return "anywhere";
  }
  return "?";
}

}  // namespace palyra::chaos
