#include "plugins/gateway/registry/lease.h"

namespace palyra::registry {
namespace {

palyra_handle handle_of(void* self) { return reinterpret_cast<palyra_handle>(self); }

palyra_status start(void* self, uint32_t method, palyra_bytes request,
                    const palyra_call_options* options, const palyra_sink* sink, palyra_handle* op,
                    palyra_error* error) {
  const palyra_handle handle = handle_of(self);
  CallContext context;
  context.lease = handle;
  Lease* lease = leases().find(handle);
  if (lease == nullptr) {
    return Status(Code::kInvalidArgument, "this is not a client of the registry").to_abi(error);
  }
  std::unique_lock lock(lease->mutex);
  if (!lease->is(handle)) {
    return Status(Code::kFailedPrecondition, "the client was released; acquire a new one")
        .to_abi(error);
  }
  if (!lease->fixed && (!lease->endpoint || !lease->endpoint->taken())) {
    Resolver* resolver = lease->resolver;
    const std::string service_id = lease->service_id;
    // The registry's mutex comes before a lease's.
    lock.unlock();
    Result<EndpointPtr> found = resolver->resolve(service_id);
    if (!found.ok()) return found.status().to_abi(error);
    if (*found == nullptr) {
      return Status(Code::kUnavailable,
                    "nothing offers " + service_id +
                        " at the moment; try again, or look at the plugin list",
                    PALYRA_ERROR_RETRYABLE)
          .to_abi(error);
    }
    lock.lock();
    if (!lease->is(handle)) {
      return Status(Code::kFailedPrecondition, "the client was released").to_abi(error);
    }
    lease->endpoint = std::move(*found);
  }
  context.shared = lease->shared;
  context.caller = lease->caller;
  context.endpoint = lease->endpoint;
  lock.unlock();
  return start_call(std::move(context), method, request, options, sink, op, error);
}

void grant(void* self, palyra_handle op, uint32_t credits) {
  grant_call(handle_of(self), op, credits);
}

void cancel(void* self, palyra_handle op) { cancel_call(handle_of(self), op); }

}  // namespace

SlotPool<Lease>& leases() {
  static auto* const pool = new SlotPool<Lease>();
  return *pool;
}

const palyra_service& call_service() {
  static constexpr palyra_service kService = {sizeof(palyra_service), 0, &start, &grant, &cancel};
  return kService;
}

palyra_handle open_lease(std::shared_ptr<Shared> shared, InstancePtr caller, EndpointPtr endpoint,
                         Resolver* resolver, std::string service_id, bool fixed) {
  Lease* lease = leases().allocate();
  if (lease == nullptr) return 0;
  std::lock_guard lock(lease->mutex);
  lease->shared = std::move(shared);
  lease->caller = std::move(caller);
  lease->endpoint = std::move(endpoint);
  lease->resolver = resolver;
  lease->service_id = std::move(service_id);
  lease->fixed = fixed;
  return lease->handle();
}

bool close_lease(palyra_handle handle, const Instance& caller, EndpointPtr& endpoint) {
  Lease* lease = leases().find(handle);
  if (lease == nullptr) return false;
  {
    std::lock_guard lock(lease->mutex);
    if (!lease->is(handle) || lease->caller.get() != &caller) return false;
    if (lease->fixed) endpoint = std::move(lease->endpoint);
    lease->endpoint.reset();
    lease->caller.reset();
    lease->shared.reset();
    leases().retire(lease);
  }
  cancel_calls_of(handle);
  leases().recycle(lease);
  return true;
}

}  // namespace palyra::registry
