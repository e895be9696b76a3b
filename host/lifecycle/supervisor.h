// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "host/facilities/instance_facilities.h"
#include "host/lifecycle/blueprint.h"
#include "host/lifecycle/instance.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace palyra::host {

// Where an instance stands, for people.
struct InstanceStatus {
  std::string state;  // found active quarantined stopped
  std::string reason;
};

// Executes a blueprint: the hub first, then the others in their order, and all of it backwards at
// the end. An instance that fails a step is quarantined and the rest runs; only the hub is
// indispensable.
//
// start, run and stop are called by one thread, in this order. request_stop, ready and describe may
// be called from any thread while the supervisor lives.
class Supervisor {
 public:
  // `began`: when the process started, for the line that says how long it took.
  Supervisor(const Settings& settings, Blueprint blueprint, SharedFacilities& shared,
             std::string notify_socket, std::chrono::steady_clock::time_point began);
  Supervisor(const Supervisor&) = delete;

  // Errors: the hub cannot start. Whatever was started is to be stopped with stop().
  Status start();
  // Blocks until request_stop.
  void wait();
  // Drains, stops and destroys everything. At most the drain time plus the watchdogs.
  void stop();

  void request_stop();
  void ready();
  // A document of palyra.daemon/1.
  Result<std::string> describe(std::string_view what) const;
  // True if an instance hangs: its thread still runs, so the process must end without destructors.
  bool abandoned() const { return abandoned_; }

 private:
  friend struct Description;

  std::shared_ptr<Instance> make_instance(const Candidate& candidate, const palyra_daemon* daemon);
  Status start_hub();
  void start_one(const std::string& name);
  void quarantine(const std::string& name, const Status& why, bool is_hub);
  void discard(const std::shared_ptr<Instance>& instance);
  void set_status(const std::string& name, std::string state, std::string reason = "");
  void announce_if_ready();
  bool stop_requested() const;
  void make_table();

  const Settings& settings_;
  const Blueprint blueprint_;
  SharedFacilities& shared_;
  const std::string notify_socket_;
  const std::chrono::steady_clock::time_point began_;
  palyra_daemon table_ = {};

  std::shared_ptr<Instance> hub_;
  const palyra_registry_host* registry_ = nullptr;
  std::vector<std::shared_ptr<Instance>> active_;  // in the order of their start, without the hub
  bool abandoned_ = false;

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::map<std::string, InstanceStatus> statuses_;
  bool stop_requested_ = false;
  bool hub_ready_ = false;
  bool started_ = false;
  bool announced_ = false;
};

}  // namespace palyra::host
