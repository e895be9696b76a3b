// A client of a service: what acquire gives out. The caller holds its name, never a pointer.
#pragma once

#include "plugins/gateway/registry/call.h"
#include "plugins/gateway/registry/slot_pool.h"

#include <memory>
#include <string>

namespace palyra::registry {

// Finds the endpoint for a lease that named no instance. Any thread.
class Resolver {
 public:
  virtual ~Resolver() = default;
  // OK with a null endpoint if nothing is published.
  virtual Result<EndpointPtr> resolve(const std::string& service_id) = 0;
};

struct Lease : SlotBase {
  std::shared_ptr<Shared> shared;
  InstancePtr caller;    // null: the object is free
  EndpointPtr endpoint;  // null: not resolved yet
  Resolver* resolver = nullptr;
  std::string service_id;
  bool fixed = false;  // the instance was named or bound: the endpoint never changes
};

SlotPool<Lease>& leases();

// The table every client gets; its self is the lease's handle.
const palyra_service& call_service();

// The name of a new lease; 0 if there are too many in the process.
palyra_handle open_lease(std::shared_ptr<Shared> shared, InstancePtr caller, EndpointPtr endpoint,
                         Resolver* resolver, std::string service_id, bool fixed);
// Ends the lease if it belongs to `caller` and cancels its calls; `endpoint` is where a fixed one
// was. False for a name that is stale or somebody else's.
bool close_lease(palyra_handle handle, const Instance& caller, EndpointPtr& endpoint);

}  // namespace palyra::registry
