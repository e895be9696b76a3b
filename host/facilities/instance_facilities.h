// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "host/facilities/blocking_pool.h"
#include "host/facilities/lane.h"
#include "host/facilities/logger.h"
#include "host/facilities/metrics.h"
#include "host/facilities/secrets.h"
#include "host/facilities/thread_pool.h"
#include "host/facilities/timer_queue.h"
#include "palyra/abi.h"
#include "palyra/clock.h"
#include "palyra/config.h"
#include "palyra/daemon.h"
#include "palyra/metrics.h"
#include "palyra/random.h"
#include "palyra/registry.h"
#include "palyra/state.h"

#include <filesystem>
#include <memory>
#include <string>

namespace palyra::host {

// What all instances share. Destroyed after the last of them.
struct SharedFacilities {
  explicit SharedFacilities(unsigned pool_threads) : pool(pool_threads) {}
  std::shared_ptr<Secrets> secrets;
  std::unique_ptr<Logger> log;
  Metrics metrics;
  ThreadPool pool;
  BlockingPool blocking;
  TimerQueue timers;
};

// The palyra_host of one instance and the tables behind it. Tables are immutable after construction
// but for the registry's, which is set before create and cleared after destroy.
class InstanceFacilities {
 public:
  // `daemon` is null but for the instance that provides the registry.
  InstanceFacilities(SharedFacilities& shared, std::string instance, std::string directory,
                     bool parallel, const palyra_daemon* daemon);
  InstanceFacilities(const InstanceFacilities&) = delete;

  const palyra_host& host() const { return host_; }
  Lane& lane() { return lane_; }
  void set_registry(const palyra_registry* registry) { registry_ = registry; }

 private:
  const void* find(std::string_view id) const;

  SharedFacilities& shared_;
  const std::string instance_;
  const std::string directory_;
  Lane lane_;
  const palyra_registry* registry_ = nullptr;
  const palyra_daemon* const daemon_;
  palyra_host host_ = {};
  palyra_log log_ = {};
  palyra_config config_ = {};
  palyra_metrics metrics_ = {};
  palyra_clock clock_ = {};
  palyra_random random_ = {};
  palyra_state state_ = {};
};

}  // namespace palyra::host
