// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "host/facilities/instance_facilities.h"
#include "host/lifecycle/blueprint.h"
#include "host/loader/library.h"
#include "palyra/registry.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace palyra::host {

// One instance of a plugin through its life. Every step runs on a thread of its own with the lane
// held and a watchdog; an error names instance and step. The supervisor's thread calls, one step at
// a time.
//
// An instance that overruns a step is abandoned: its thread, its memory and its library stay as
// they are until the process ends, and no further function of it is called.
class Instance : public std::enable_shared_from_this<Instance> {
 public:
  Instance(const Candidate& candidate, SharedFacilities& shared, const std::string& directory,
           const palyra_daemon* daemon, std::chrono::milliseconds step_timeout);

  const std::string& name() const { return name_; }
  bool abandoned() const { return abandoned_; }

  // Loads the library and calls create and init. `registry` is null for the one that provides it.
  Status prepare(const palyra_registry_host* registry);
  Status start();
  // Asks the plugin for an interface towards the host; null if it has none.
  const void* query(std::string_view id);
  // The instance is up: its publications become visible.
  void activate();

  // Asks the plugin to finish until `deadline`, again and again while it says UNAVAILABLE, with the
  // lane free in between; then waits for the calls that are in flight to it. An error if it has
  // not finished by then.
  Status drain(palyra_mono_ns deadline);
  // Stops the plugin and closes its lane. Nothing to do for an abandoned one.
  Status stop();
  // Takes it off the registry and destroys it. Nothing to do for one that was never prepared.
  void finish();

  // Of the registry's host interface that `registry` gives: may block, hence a step.
  Status open_registry(const palyra_registry_host* registry);

 private:
  using Call = std::function<Status(palyra_error* error)>;
  Status step(const char* name, std::chrono::milliseconds limit, bool hold, Call call);
  void wait_for_calls(palyra_mono_ns deadline);
  void abandon();

  const std::string name_;
  const FoundPlugin found_;
  const std::string config_;
  const std::string grant_;
  const std::chrono::milliseconds step_timeout_;
  std::shared_ptr<Library> library_;
  InstanceFacilities facilities_;
  const palyra_registry_host* registry_ = nullptr;  // set while open
  void* self_ = nullptr;
  bool created_ = false;
  bool stopped_ = false;
  bool abandoned_ = false;
};

}  // namespace palyra::host
