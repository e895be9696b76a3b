// One plugin instance as the registry knows it: identity, rights, lane, and the gate through which
// the registry enters its code.
#pragma once

#include "palyra/executor.h"
#include "palyra/registry.h"
#include "plugins/gateway/registry/rights.h"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace palyra::registry {

// Invariants: after close() has returned no thread is inside the instance's code on behalf of the
// registry and none will enter it again; the executor is not touched any more either. in_flight()
// counts calls for which this instance is the publisher and has not completed. Any thread may call
// anything but close(), which waits and so must not be called from inside a gate.
class Instance {
 public:
  struct Identity {
    std::string name;
    std::string plugin_id;
    bool trusted = false;
    bool hub = false;
  };

  Instance(Identity identity, Rights rights, const palyra_executor* executor)
      : identity_(std::move(identity)), rights_(std::move(rights)), executor_(*executor) {}
  Instance(const Instance&) = delete;

  const Identity& identity() const { return identity_; }
  const std::string& name() const { return identity_.name; }
  const Rights& rights() const { return rights_; }
  bool concurrent() const { return rights_.concurrent; }

  bool active() const { return active_.load(); }
  void activate() { active_.store(true); }
  bool closed() const { return closed_.load(); }
  bool draining() const { return draining_.load(); }

  // True: the caller is inside until leave(). False once closed.
  bool enter() {
    inside_.fetch_add(1);
    if (!closed_.load()) return true;
    leave();
    return false;
  }
  void leave() {
    if (inside_.fetch_sub(1) == 1 && closed_.load()) notify_left();
  }

  // Posts to the instance's lane; dropped once closed.
  void post(palyra_task_fn fn, void* arg);
  palyra_handle post_at(palyra_mono_ns when, palyra_task_fn fn, void* arg);
  void cancel_timer(palyra_handle timer);

  void call_started() { in_flight_.fetch_add(1); }
  // True if this was the last one of a draining instance: then call notify_drained(), holding no
  // lock.
  [[nodiscard]] bool call_ended() { return in_flight_.fetch_sub(1) == 1 && draining_.load(); }
  void notify_drained();
  uint64_t in_flight() const { return in_flight_.load(); }

  // done(arg) once in_flight() is 0, now or from notify_drained().
  void drain(palyra_task_fn done, void* arg);
  void close();

 private:
  void notify_left();

  const Identity identity_;
  const Rights rights_;
  const palyra_executor executor_;
  std::atomic<bool> active_{false};
  std::atomic<bool> closed_{false};
  std::atomic<bool> draining_{false};
  std::atomic<uint64_t> inside_{0};
  std::atomic<uint64_t> in_flight_{0};
  std::mutex mutex_;  // guards waiting_ and the two notifications
  std::condition_variable left_;
  std::vector<std::pair<palyra_task_fn, void*>> waiting_;
};

using InstancePtr = std::shared_ptr<Instance>;

// Enters for a scope.
class Gate {
 public:
  explicit Gate(Instance& instance) : instance_(instance), entered_(instance.enter()) {}
  ~Gate() {
    if (entered_) instance_.leave();
  }
  Gate(const Gate&) = delete;
  explicit operator bool() const { return entered_; }

 private:
  Instance& instance_;
  const bool entered_;
};

}  // namespace palyra::registry
