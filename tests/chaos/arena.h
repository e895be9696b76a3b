// The daemon under test, its deaths and its births.
#pragma once

#include "tests/chaos/job.h"
#include "tests/chaos/ledger.h"
#include "tests/e2e/daemon.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace palyra::chaos {

using SteadyTime = std::chrono::steady_clock::time_point;

// How a client reaches one life of the daemon.
struct Access {
  uint64_t generation = 0;  // 1 = the first life
  std::shared_ptr<grpc::Channel> channel;
  std::string token;
  SteadyTime launched;

  // `patience`: a call that takes longer has hung.
  void authenticate(grpc::ClientContext& context, std::chrono::seconds patience) const;
};

// One kill, as it happened.
struct Kill {
  Plan plan;
  uint64_t generation = 0;
  int64_t wall_ns = 0;    // when the process was gone
  std::string label;      // of the input whose moment it was
  std::string run_id;     // empty = not acknowledged
  bool in_store = false;  // the power went at plan.point, and
  uint64_t lost = 0;      // so many writes were taken back
};

// One daemon, started again and again on the same state. The main thread kills and starts it;
// clients wait here for the next life and report their moments, one of which fires the plan. A kill
// happens on the thread that saw the moment, at once; only a kill between sending and
// acknowledgement is left to the main thread, as its client is busy sending.
class Arena {
 public:
  // `faults` is what the daemon's file system listens to.
  Arena(e2e::DaemonOptions options, std::string effects, FaultControl& faults, Ledger& ledger,
        std::chrono::seconds patience);

  // Clients.
  // Waits for a life after `lost`; none if the daemon cannot be started any more.
  std::optional<Access> access(uint64_t lost);
  void moment(Moment moment, const Input& input);
  // A job's count of cuts: a run that is cut eight times in one effect is given up by the daemon,
  // and rightly, so that kills wait for a job that has come near it.
  class Endangered {
   public:
    explicit Endangered(Arena& arena) : arena_(arena) {}
    ~Endangered() {
      if (cuts_ >= kMany) arena_.endangered(-1);
    }
    Endangered(const Endangered&) = delete;
    void cut() {
      if (++cuts_ == kMany) arena_.endangered(1);
    }

   private:
    static constexpr int kMany = 5;
    Arena& arena_;
    int cuts_ = 0;
  };
  Aim aim() const { return aim_; }
  bool stopping() const { return stopping_; }
  std::chrono::seconds patience() const { return patience_; }
  const std::string& effects() const { return effects_; }  // directory of the effect logs

  // The main thread.
  bool start();
  // Kills as planned, once the moment has come. None if the daemon died by itself or nothing fits
  // for too long (both are problems).
  // It waits first until `rest` runs have ended in this life, or a second is over: a run that is
  // cut again and again is given up by the daemon, and rightly.
  std::optional<Kill> kill(const Plan& plan, uint64_t rest);
  // Cuts as planned unless `done` says first that there is nothing left to cut. None then, and if
  // the daemon died by itself (a problem).
  std::optional<Kill> cut(const Plan& plan, const std::function<bool()>& done);
  // Waits for that many runs to end, a second at most.
  void rest(uint64_t runs);
  // Starts the next life. With a plan it is killed while it starts, and started again.
  bool restart(const std::optional<Plan>& during, std::vector<Kill>* kills);
  void stop_clients() { stopping_ = true; }
  void go_on() { stopping_ = false; }
  e2e::Daemon& daemon() { return daemon_; }
  Access current() const;
  const std::vector<double>& ready_times() const { return ready_ms_; }
  uint64_t moments() const { return moments_; }

 private:
  void endangered(int change);
  void arm(const Plan& plan);
  bool serve(SteadyTime launched);
  void wait_trigger(const Plan& plan, const Input& input) const;
  bool effect_seen(const Input& input) const;
  bool died() const;
  void give_up(const std::string& why);

  e2e::Daemon daemon_;
  const std::string effects_;
  FaultControl& faults_;
  Ledger& ledger_;
  const std::chrono::seconds patience_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> armed_{false};
  std::atomic<Aim> aim_{Aim::kAnywhere};
  std::atomic<uint64_t> moments_{0};

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  Access access_;
  bool lost_for_good_ = false;
  Plan plan_;
  uint64_t ended_ = 0;
  int endangered_ = 0;
  bool fired_ = false;  // the moment has come
  bool kill_by_main_ = false;
  bool killed_ = false;
  Kill kill_;

  std::vector<double> ready_ms_;  // main thread
};

int64_t wall_now();

}  // namespace palyra::chaos
