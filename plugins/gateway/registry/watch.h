// Who wants to know which publications of a service come and go.
#pragma once

#include "plugins/gateway/registry/endpoint.h"
#include "plugins/gateway/registry/slot_pool.h"

#include <deque>
#include <memory>
#include <string>

namespace palyra::registry {

// Invariant: events arrive in the order of change, one at a time, on the watcher's lane, none after
// close_watch() has returned there.
struct Watch : SlotBase {
  struct Event {
    uint32_t kind = 0;
    std::shared_ptr<const PublicationInfo> info;
  };

  InstancePtr watcher;  // null: the object is free
  palyra_watch_sink sink{};
  std::deque<Event> events;
  bool delivering = false;
};

SlotPool<Watch>& watches();

// 0 if there are too many in the process.
palyra_handle open_watch(InstancePtr watcher, const palyra_watch_sink& sink);
// A stale name is a no-op.
void notify_watch(palyra_handle handle, uint32_t kind, std::shared_ptr<const PublicationInfo> info);
// False for a name that is stale or somebody else's.
bool close_watch(palyra_handle handle, const Instance& watcher);

}  // namespace palyra::registry
