#include "plugins/gateway/registry/instance.h"

namespace palyra::registry {

void Instance::post(palyra_task_fn fn, void* arg) {
  if (Gate gate(*this); gate) executor_.post(executor_.ctx, fn, arg);
}

palyra_handle Instance::post_at(palyra_mono_ns when, palyra_task_fn fn, void* arg) {
  Gate gate(*this);
  return gate ? executor_.post_at(executor_.ctx, when, fn, arg) : 0;
}

void Instance::cancel_timer(palyra_handle timer) {
  if (timer == 0) return;
  if (Gate gate(*this); gate) executor_.cancel_timer(executor_.ctx, timer);
}

void Instance::drain(palyra_task_fn done, void* arg) {
  {
    std::lock_guard lock(mutex_);
    waiting_.emplace_back(done, arg);
  }
  draining_.store(true);
  if (in_flight_.load() == 0) notify_drained();
}

void Instance::close() {
  closed_.store(true);
  std::unique_lock lock(mutex_);
  left_.wait(lock, [this] { return inside_.load() == 0; });
}

void Instance::notify_left() {
  std::lock_guard lock(mutex_);
  left_.notify_all();
}

void Instance::notify_drained() {
  std::vector<std::pair<palyra_task_fn, void*>> ready;
  {
    std::lock_guard lock(mutex_);
    if (in_flight_.load() != 0) return;
    ready.swap(waiting_);
  }
  for (const auto& [done, arg] : ready) done(arg);
}

}  // namespace palyra::registry
