// Faults: what goes wrong around the daemons, when the dice say so.
#pragma once

#include "tests/sim/clients.h"

#include <functional>
#include <memory>

namespace palyra::sim {

// One daemon serves. It may die alone, at once or while it stops, or lose power together with the
// database at any step or sync; it may be paused while another takes over, and wake after its
// lease. The database may refuse, or take its time; the wall clock may jump. Clients always talk to
// the daemon that serves.
class Faults {
 public:
  // Makes a daemon that takes leases as `owner`.
  using Boot = std::function<std::unique_ptr<Daemon>(const std::string& owner)>;

  Faults(Scene& scene, Database& database, Clients& clients, Boot boot);

  Daemon& serving() { return *serving_; }
  Daemon* asleep_or_late() { return paused_.get(); }

  // One fault that the dice choose; false if nothing came of it.
  bool happen();
  // Those that surely happen at once.
  void kill();
  void kill_or_cut_power();
  // After each step: what must follow from it.
  void settle();
  // No more faults. Who was paused wakes; true once it is gone for good.
  bool calm();

  uint64_t count = 0;
  uint64_t takeovers = 0;

 private:
  void stop();
  void power_cut(const char* where);
  void pause();
  void wake();
  void drop_paused();
  void start();

  Scene& scene_;
  Database& database_;
  Clients& clients_;
  const Boot boot_;
  std::string owner_ = "gateway";
  std::unique_ptr<Daemon> serving_;
  std::unique_ptr<Daemon> paused_;  // or awake again, and replaced
  int64_t asked_again_ns_ = 0;
};

}  // namespace palyra::sim
