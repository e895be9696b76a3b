// One service call, between a caller and a publisher that need not trust each other.
#pragma once

#include "palyra/registry.h"
#include "plugins/gateway/registry/endpoint.h"
#include "plugins/gateway/registry/instance.h"
#include "plugins/gateway/registry/slot_pool.h"
#include "plugins/gateway/registry/stats.h"

#include <memory>
#include <string>
#include <vector>

namespace palyra::registry {

// A call has two ends. The caller's end is over when its completion was delivered (`delivered`);
// the publisher's when it completed, refused or was closed (`publisher_done`). Either may come
// first: a deadline ends the caller's side while the publisher still works. The object goes back to
// the pool when both are over and the publisher's start has returned. Invariants, all under
// `mutex`:
//  - items reach the caller in order, before the completion, from one drain at a time
//  (`delivering`);
//  - `credits` is what the publisher may still send; an item beyond it is a fault and ends the
//  call;
//  - what comes after publisher_done, or under an old name, is a fault: counted, its buffer
//  released.
// No code of a plugin runs with `mutex` held; the executors' post functions do.
struct Call : SlotBase {
  std::shared_ptr<Shared> shared;
  InstancePtr caller;  // null: the object is free
  EndpointPtr endpoint;
  Endpoint::Target target;
  palyra_handle lease = 0;
  palyra_sink sink{};

  uint32_t credits = 0;
  uint32_t pending_grant = 0;  // not yet told to the publisher
  bool pending_cancel = false;
  bool control_posted = false;
  bool starting = false;  // the publisher's start has not returned
  bool started = false;   // it returned OK: publisher_op counts
  bool caller_returned = false;
  bool publisher_done = false;
  bool ended = false;  // status and result are decided
  bool delivered = false;
  bool delivering = false;

  palyra_handle publisher_op = 0;
  palyra_handle timer = 0;
  std::vector<palyra_buffer*> items;
  size_t next_item = 0;
  palyra_status status = PALYRA_OK;
  palyra_buffer* result = nullptr;
  std::unique_ptr<palyra_error> error;

  // Copies for a publisher that is started later, on its lane.
  uint32_t method = 0;
  uint32_t encoding = 0;
  palyra_mono_ns deadline = PALYRA_NO_DEADLINE;
  std::string request;
  std::string traceparent;
  std::string idempotency_key;
};

// The calls of all registries of the process; see SlotPool for why it is never freed.
SlotPool<Call>& calls();

// What the lease says about a call.
struct CallContext {
  std::shared_ptr<Shared> shared;
  InstancePtr caller;
  EndpointPtr endpoint;
  palyra_handle lease = 0;
};

// As palyra_service.start towards the caller. Errors besides the publisher's own: UNAVAILABLE |
// RETRYABLE (nobody is there), DEADLINE_EXCEEDED, INVALID_ARGUMENT, UNIMPLEMENTED (encoding),
// RESOURCE_EXHAUSTED.
palyra_status start_call(CallContext context, uint32_t method, palyra_bytes request,
                         const palyra_call_options* options, const palyra_sink* sink,
                         palyra_handle* op, palyra_error* error);
// `lease` must be the one that began the call; anything else is a no-op.
void grant_call(palyra_handle lease, palyra_handle op, uint32_t credits);
void cancel_call(palyra_handle lease, palyra_handle op);

// The lease is gone: its calls are cancelled and still complete.
void cancel_calls_of(palyra_handle lease);
// After publisher.close(): what it has not completed ends UNAVAILABLE | RETRYABLE.
void end_calls_to(const Instance& publisher);
// After caller.close(): its sinks are not called any more, publishers are asked to stop.
void abandon_calls_from(const Instance& caller);

}  // namespace palyra::registry
