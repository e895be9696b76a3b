#include "plugins/gateway/registry/watch.h"

#include "palyra/status.hpp"

namespace palyra::registry {
namespace {

void deliver_events(void* arg) {
  const auto handle = reinterpret_cast<palyra_handle>(arg);
  Watch* watch = watches().find(handle);
  std::unique_lock lock(watch->mutex);
  if (!watch->is(handle)) return;
  const InstancePtr watcher = watch->watcher;
  const palyra_watch_sink sink = watch->sink;
  lock.unlock();
  Gate gate(*watcher);
  if (!gate) return;
  lock.lock();
  while (watch->is(handle)) {
    if (watch->events.empty()) {
      watch->delivering = false;
      return;
    }
    const Watch::Event event = std::move(watch->events.front());
    watch->events.pop_front();
    lock.unlock();
    std::vector<palyra_field> labels;
    labels.reserve(event.info->labels.size());
    for (const auto& [name, value] : event.info->labels) {
      labels.push_back({to_str(name), to_str(value)});
    }
    palyra_publication publication{};
    publication.struct_size = sizeof(publication);
    publication.encodings = event.info->encodings;
    publication.service_id = to_str(event.info->service_id);
    publication.instance = to_str(event.info->instance);
    publication.labels = labels.data();
    publication.label_count = static_cast<uint32_t>(labels.size());
    sink.on_change(sink.ctx, event.kind, &publication);
    lock.lock();
  }
}

}  // namespace

SlotPool<Watch>& watches() {
  static auto* const pool = new SlotPool<Watch>();
  return *pool;
}

palyra_handle open_watch(InstancePtr watcher, const palyra_watch_sink& sink) {
  Watch* watch = watches().allocate();
  if (watch == nullptr) return 0;
  std::lock_guard lock(watch->mutex);
  watch->watcher = std::move(watcher);
  watch->sink = sink;
  watch->delivering = false;
  return watch->handle();
}

void notify_watch(palyra_handle handle, uint32_t kind,
                  std::shared_ptr<const PublicationInfo> info) {
  Watch* watch = watches().find(handle);
  if (watch == nullptr) return;
  std::lock_guard lock(watch->mutex);
  if (!watch->is(handle)) return;
  watch->events.push_back({kind, std::move(info)});
  if (watch->delivering) return;
  watch->delivering = true;
  watch->watcher->post(&deliver_events, reinterpret_cast<void*>(handle));
}

bool close_watch(palyra_handle handle, const Instance& watcher) {
  Watch* watch = watches().find(handle);
  if (watch == nullptr) return false;
  InstancePtr last;
  {
    std::lock_guard lock(watch->mutex);
    if (!watch->is(handle) || watch->watcher.get() != &watcher) return false;
    last = std::move(watch->watcher);
    watch->watcher.reset();
    watch->events.clear();
    watches().retire(watch);
  }
  watches().recycle(watch);
  return true;
}

}  // namespace palyra::registry
