#include "tests/sim/faults.h"

#include <utility>

namespace palyra::sim {
namespace {

constexpr int64_t kDay = 86'400 * kNanosPerSecond;
// More than a lease lasts.
constexpr int64_t kLongSleep = 40 * kNanosPerSecond;

}  // namespace

Faults::Faults(Scene& scene, Database& database, Clients& clients, Boot boot)
    : scene_(scene), database_(database), clients_(clients), boot_(std::move(boot)) {
  start();
}

void Faults::start() {
  serving_ = boot_(owner_);
  serving_->recover();
}

bool Faults::happen() {
  Dice& dice = scene_.dice;
  switch (dice.pick(0, 9)) {
    case 0:
    case 1:
      kill();
      return true;
    case 2:
      power_cut("between two steps");
      break;
    case 3:
    case 4:
      if (database_.armed()) return false;
      database_.crash_at_sync(dice.pick(1, 4), dice.chance(50));
      scene_.say("the power will go at a sync");
      return false;  // counted when it does
    case 5: {
      const int64_t jump = dice.pick(0, 3);
      scene_.clock.jump_wall(jump == 0   ? kNanosPerSecond
                             : jump == 1 ? kDay
                             : jump == 2 ? -kDay
                                         : -60 * kNanosPerSecond);
      scene_.say("the wall clock jumps");
      break;
    }
    case 6: {
      const bool full = dice.chance(50);
      serving_->database.refuse(
          full ? Status(Code::kResourceExhausted, "the disk is full")
               : Status(Code::kUnavailable, "the journal is away", PALYRA_ERROR_RETRYABLE),
          scene_.clock.mono_now() + dice.pick(1, 20'000) * kNanosPerMilli);
      scene_.say("the journal refuses for a while");
      break;
    }
    case 7:
      serving_->database.slow_down(dice.pick(0, 300) * kNanosPerMilli);
      scene_.say("the journal is slow");
      break;
    default:
      if (paused_) {
        wake();
      } else if (serving_->ready) {
        pause();
      } else {
        return false;
      }
  }
  ++count;
  return true;
}

void Faults::kill_or_cut_power() {
  if (scene_.dice.chance(60)) {
    ++count;
    return power_cut("between two steps");
  }
  kill();
}

void Faults::kill() {
  ++count;
  if (scene_.dice.chance(25)) stop();
  scene_.say("daemon " + std::to_string(serving_->number) + " is killed");
  serving_->count_end(false, Point::kNewest);
  clients_.daemon_gone(serving_->number);
  serving_.reset();
  scene_.clock.advance(scene_.dice.pick(0, 3) * 20 * kNanosPerSecond);
  start();
}

// SIGTERM: runs are put down at once, and the process goes on for a while.
void Faults::stop() {
  scene_.say("daemon " + std::to_string(serving_->number) + " is told to stop");
  // Their connections are ended first; what they had asked for is carried out or refused unheard.
  clients_.daemon_gone(serving_->number);
  serving_->stop();
  for (int64_t steps = scene_.dice.pick(0, 80); steps > 0; --steps) {
    Lane& lane = scene_.dice.chance(50) ? serving_->lane : database_.lane;
    if (lane.ready()) lane.run_one();
  }
}

void Faults::power_cut(const char* where) {
  scene_.say(std::string("the power goes ") + where);
  database_.power_gone = false;
  database_.disarm();
  database_.crash();
  if (paused_) {
    paused_->count_end(true, Point::kTakenOver);
    clients_.daemon_gone(paused_->number);
    paused_.reset();
  }
  serving_->count_end(true, Point::kNewest);
  clients_.daemon_gone(serving_->number);
  serving_.reset();
  scene_.clock.advance(scene_.dice.pick(0, 3) * 20 * kNanosPerSecond);
  start();
}

// The daemon stops in the middle of what it does, and another one takes over: under the same name,
// which only the fence keeps apart, or under its own, when the leases are over or before.
void Faults::pause() {
  ++takeovers;
  scene_.say("daemon " + std::to_string(serving_->number) + " is paused; another takes over");
  serving_->lane.paused = true;
  serving_->replace();
  paused_ = std::move(serving_);
  // Its clients see their connections die and go to the other one; what they had asked of it is
  // carried out when it wakes, and nobody hears of it.
  clients_.daemon_gone(paused_->number);
  clients_.contended = true;
  const int64_t how = scene_.dice.pick(0, 3);
  if (how >= 2) owner_ = owner_ == "gateway" ? "second" : "gateway";
  if (how == 2) scene_.clock.advance(kLongSleep);
  start();
}

void Faults::wake() {
  if (!paused_->lane.paused) return;
  scene_.say("daemon " + std::to_string(paused_->number) + " wakes");
  paused_->database.count_end(false, Point::kTakenOver);
  paused_->lane.paused = false;
}

void Faults::drop_paused() {
  scene_.say("daemon " + std::to_string(paused_->number) + " is ended");
  paused_->count_end(false, Point::kTakenOver);
  clients_.daemon_gone(paused_->number);
  paused_.reset();
}

void Faults::settle() {
  if (database_.power_gone) {
    ++count;
    power_cut("at a sync");
  }
  // Sessions that the other daemon held when this one looked.
  const int64_t now = scene_.clock.mono_now();
  if (clients_.contended && serving_->ready && now >= asked_again_ns_) {
    asked_again_ns_ = now + 10 * kNanosPerSecond;
    serving_->recover();
  }
}

bool Faults::calm() {
  if (database_.power_gone) power_cut("at a sync");
  database_.disarm();
  serving_->database.refuse(Status(), 0);
  serving_->database.slow_down(0);
  if (!paused_) return true;
  if (paused_->lane.paused) {
    wake();
  } else if (!paused_->lane.ready()) {
    drop_paused();
    return true;
  }
  return false;
}

}  // namespace palyra::sim
