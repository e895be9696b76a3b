#include "plugins/gateway/registry/call.h"

#include "palyra/status.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

namespace palyra::registry {
namespace {

constexpr uint64_t kMaxIdempotencyKey = 128;
constexpr uint64_t kMaxTraceparent = 256;
// Longer requests are copied, but the memory is not kept for the next call.
constexpr size_t kKeptRequest = 64 * 1024;
constexpr size_t kKeptItems = 256;

using Lock = std::unique_lock<std::mutex>;

void* to_arg(palyra_handle handle) { return reinterpret_cast<void*>(handle); }
palyra_handle to_handle(void* arg) { return reinterpret_cast<palyra_handle>(arg); }

uint32_t add_credits(uint32_t a, uint32_t b) {
  return b > std::numeric_limits<uint32_t>::max() - a ? std::numeric_limits<uint32_t>::max()
                                                      : a + b;
}

palyra_status canonical(palyra_status status) {
  return status < 0 || status > PALYRA_UNAUTHENTICATED ? PALYRA_INTERNAL : status;
}

Status unavailable(const Endpoint& endpoint) {
  return Status(Code::kUnavailable,
                endpoint.service_id() + " at \"" + endpoint.instance() +
                    "\" is not running; try again, or look at the plugin list for why",
                PALYRA_ERROR_RETRYABLE);
}

void deliver(void* arg);
void run_start(void* arg);
void run_control(void* arg);
void deadline_passed(void* arg);

void count_fault(Call& call) {
  call.shared->faults.fetch_add(1, std::memory_order_relaxed);
  call.endpoint->faults.fetch_add(1, std::memory_order_relaxed);
}

// Something came for a call whose publisher's side is over, or for an earlier call in this place.
void count_late(Call& call, bool same_call, palyra_buffer* buffer) {
  if (!call.shared) return;
  call.shared->release(buffer);
  if (same_call) return count_fault(call);
  call.shared->faults.fetch_add(1, std::memory_order_relaxed);
}

void drop_items(Call& call) {
  for (size_t i = call.next_item; i < call.items.size(); ++i) call.shared->release(call.items[i]);
  call.items.clear();
  call.next_item = 0;
}

void schedule_delivery(Call& call) {
  if (!call.caller_returned || call.delivering || call.delivered) return;
  if (call.next_item == call.items.size() && !call.ended) return;
  call.delivering = true;
  call.caller->post(&deliver, to_arg(call.handle()));
}

// Decides the caller's outcome; the first decision stands.
void end(Call& call, palyra_status status, palyra_buffer* result, const Status* why,
         const palyra_error* error) {
  if (call.ended) {
    call.shared->release(result);
    return;
  }
  call.ended = true;
  call.status = status;
  call.result = result;
  if (status != PALYRA_OK) {
    call.endpoint->failures.fetch_add(1, std::memory_order_relaxed);
    call.error = std::make_unique<palyra_error>();
    call.error->struct_size = sizeof(palyra_error);
    call.error->code = status;
    if (why != nullptr) {
      why->to_abi(call.error.get());
    } else if (error != nullptr && error->struct_size >= sizeof(palyra_error)) {
      call.error->flags = error->flags;
      std::memcpy(call.error->message, error->message, PALYRA_ERROR_MESSAGE_SIZE);
      call.error->message[PALYRA_ERROR_MESSAGE_SIZE - 1] = '\0';
    }
  }
  if (call.timer != 0) call.caller->cancel_timer(std::exchange(call.timer, 0));
}

void end(Call& call, const Status& why) {
  end(call, static_cast<palyra_status>(why.code()), nullptr, &why, nullptr);
}

// Ends the publisher's side. The instance to notify once the lock is gone, or null.
[[nodiscard]] InstancePtr publisher_finished(Call& call) {
  call.publisher_done = true;
  call.endpoint->in_flight.fetch_sub(1, std::memory_order_relaxed);
  return call.target.publisher->call_ended() ? call.target.publisher : nullptr;
}

// Unlocks, gives the object back if both sides are over, then notifies.
void finish(Call& call, Lock& lock, const InstancePtr& drained = nullptr) {
  if (call.caller && call.publisher_done && call.delivered && !call.starting) {
    drop_items(call);
    if (call.request.capacity() > kKeptRequest) std::string().swap(call.request);
    if (call.items.capacity() > kKeptItems) std::vector<palyra_buffer*>().swap(call.items);
    call.caller.reset();
    call.endpoint.reset();
    call.target.publisher.reset();
    call.error.reset();
    calls().retire(&call);
    lock.unlock();
    calls().recycle(&call);
  } else {
    lock.unlock();
  }
  if (drained) drained->notify_drained();
}

// Tells the publisher about grants and a cancel. Unlocks.
void tell_publisher(Call& call, Lock& lock) {
  if (!call.started || call.publisher_done || call.control_posted ||
      (call.pending_grant == 0 && !call.pending_cancel)) {
    return finish(call, lock);
  }
  const palyra_handle handle = call.handle();
  if (call.target.publisher->concurrent()) {
    lock.unlock();
    return run_control(to_arg(handle));
  }
  call.control_posted = true;
  call.target.publisher->post(&run_control, to_arg(handle));
  finish(call, lock);
}

void run_control(void* arg) {
  const palyra_handle handle = to_handle(arg);
  Call* call = calls().find(handle);
  Lock lock(call->mutex);
  if (!call->is(handle)) return;
  call->control_posted = false;
  if (!call->started || call->publisher_done) return;
  const uint32_t credits = std::exchange(call->pending_grant, 0);
  const bool cancel = std::exchange(call->pending_cancel, false);
  const Endpoint::Target target = call->target;
  const palyra_handle op = call->publisher_op;
  lock.unlock();
  Gate gate(*target.publisher);
  if (!gate) return;
  if (credits > 0 && !cancel) target.service->grant(target.self, op, credits);
  if (cancel) target.service->cancel(target.self, op);
}

void on_item(void* ctx, palyra_buffer* item) {
  const palyra_handle handle = to_handle(ctx);
  Call* call = calls().find(handle);
  if (call == nullptr) return;
  Lock lock(call->mutex);
  if (!call->is(handle) || call->publisher_done) {
    return count_late(*call, call->is(handle), item);
  }
  if (call->ended) {
    call->shared->release(item);
    return;
  }
  if (call->credits == 0) {
    count_fault(*call);
    call->shared->release(item);
    end(*call, Status(Code::kInternal, call->endpoint->service_id() + " at \"" +
                                           call->endpoint->instance() +
                                           "\" sent more items than it was asked for"));
    call->pending_cancel = true;
    schedule_delivery(*call);
    return tell_publisher(*call, lock);
  }
  --call->credits;
  call->items.push_back(item);
  schedule_delivery(*call);
}

void on_done(void* ctx, palyra_status status, palyra_buffer* result, const palyra_error* error) {
  const palyra_handle handle = to_handle(ctx);
  Call* call = calls().find(handle);
  if (call == nullptr) return;
  Lock lock(call->mutex);
  if (!call->is(handle) || call->publisher_done) {
    return count_late(*call, call->is(handle), result);
  }
  end(*call, canonical(status), result, nullptr, error);
  const InstancePtr drained = publisher_finished(*call);
  schedule_delivery(*call);
  finish(*call, lock, drained);
}

void deliver(void* arg) {
  const palyra_handle handle = to_handle(arg);
  Call* call = calls().find(handle);
  Lock lock(call->mutex);
  if (!call->is(handle)) return;
  const InstancePtr caller = call->caller;
  const palyra_sink sink = call->sink;
  lock.unlock();
  Gate gate(*caller);
  if (!gate) return;
  lock.lock();
  while (call->is(handle) && !call->delivered) {
    if (call->next_item < call->items.size()) {
      palyra_buffer* item = call->items[call->next_item++];
      if (call->next_item == call->items.size()) {
        call->items.clear();
        call->next_item = 0;
      }
      lock.unlock();
      sink.on_item(sink.ctx, item);
      lock.lock();
      continue;
    }
    call->delivering = false;
    if (!call->ended) return;
    call->delivered = true;
    const palyra_status status = call->status;
    palyra_buffer* result = std::exchange(call->result, nullptr);
    const std::unique_ptr<palyra_error> error = std::move(call->error);
    finish(*call, lock);
    sink.on_done(sink.ctx, status, result, error.get());
    return;
  }
}

void deadline_passed(void* arg) {
  const palyra_handle handle = to_handle(arg);
  Call* call = calls().find(handle);
  Lock lock(call->mutex);
  if (!call->is(handle) || call->ended) return;
  call->timer = 0;
  end(*call, Status(Code::kDeadlineExceeded, call->endpoint->service_id() + " at \"" +
                                                 call->endpoint->instance() +
                                                 "\" did not answer in time"));
  call->pending_cancel = true;
  schedule_delivery(*call);
  tell_publisher(*call, lock);
}

palyra_call_options publisher_options(const Call& call, palyra_str traceparent, palyra_str key) {
  palyra_call_options options{};
  options.struct_size = sizeof(options);
  options.encoding = call.encoding;
  options.deadline = call.deadline;
  options.traceparent = traceparent;
  options.idempotency_key = key;
  options.credits = call.credits;
  options.caller_flags = call.caller->identity().hub ? PALYRA_CALLER_HUB : 0;
  options.caller = to_str(call.caller->name());
  return options;
}

palyra_sink publisher_sink(palyra_handle handle) {
  palyra_sink sink{};
  sink.struct_size = sizeof(sink);
  sink.ctx = to_arg(handle);
  sink.on_item = &on_item;
  sink.on_done = &on_done;
  return sink;
}

// On the publisher's lane.
void run_start(void* arg) {
  const palyra_handle handle = to_handle(arg);
  Call* call = calls().find(handle);
  Lock lock(call->mutex);
  if (!call->is(handle) || call->publisher_done) return;
  if (call->ended || call->pending_cancel) {
    call->starting = false;
    end(*call, Status(Code::kCancelled, "the call was cancelled before it began"));
    const InstancePtr drained = publisher_finished(*call);
    schedule_delivery(*call);
    return finish(*call, lock, drained);
  }
  call->pending_grant = 0;  // the credits below already count them
  const palyra_call_options options =
      publisher_options(*call, to_str(call->traceparent), to_str(call->idempotency_key));
  const palyra_sink sink = publisher_sink(handle);
  const Endpoint::Target target = call->target;
  lock.unlock();

  palyra_error error{};
  error.struct_size = sizeof(error);
  palyra_handle op = 0;
  palyra_status status = PALYRA_UNAVAILABLE;
  {
    Gate gate(*target.publisher);
    if (!gate) return;  // end_calls_to() completes it
    status = canonical(target.service->start(target.self, call->method, to_bytes(call->request),
                                             &options, &sink, &op, &error));
  }

  lock.lock();  // still the same call: it is not given back while `starting`
  call->starting = false;
  if (status == PALYRA_OK) {
    call->started = true;
    call->publisher_op = op;
    return tell_publisher(*call, lock);
  }
  InstancePtr drained;
  if (call->publisher_done) {
    count_fault(*call);
  } else {
    end(*call, status, nullptr, nullptr, &error);
    drained = publisher_finished(*call);
    schedule_delivery(*call);
  }
  finish(*call, lock, drained);
}

// On the caller's thread, for a publisher with concurrency "any".
palyra_status start_now(Call& call, Lock& lock, palyra_bytes request,
                        const palyra_call_options& given, palyra_handle* op, palyra_error* error) {
  const palyra_handle handle = call.handle();
  const palyra_call_options options =
      publisher_options(call, given.traceparent, given.idempotency_key);
  const palyra_sink sink = publisher_sink(handle);
  Instance& publisher = *call.target.publisher;  // held by the call while `starting`
  const palyra_service* service = call.target.service;
  void* self = call.target.self;
  const uint32_t method = call.method;
  lock.unlock();

  palyra_handle publisher_op = 0;
  palyra_status status = PALYRA_UNAVAILABLE;
  {
    Gate gate(publisher);
    if (gate) {
      status =
          canonical(service->start(self, method, request, &options, &sink, &publisher_op, error));
    } else {
      (void)unavailable(*call.endpoint).to_abi(error);
    }
  }

  lock.lock();
  call.starting = false;
  if (status == PALYRA_OK) {
    call.started = true;
    call.publisher_op = publisher_op;
    call.caller_returned = true;
    *op = handle;
    if (call.deadline != PALYRA_NO_DEADLINE && !call.ended) {
      call.timer = call.caller->post_at(call.deadline, &deadline_passed, to_arg(handle));
    }
    schedule_delivery(call);
    tell_publisher(call, lock);
    return PALYRA_OK;
  }
  // Refused: nothing is delivered, whatever the publisher did before it said no.
  InstancePtr drained;
  if (call.publisher_done) {
    if (!publisher.closed()) count_fault(call);
  } else {
    drained = publisher_finished(call);
  }
  if (call.ended) {
    call.shared->release(std::exchange(call.result, nullptr));
  } else {
    call.endpoint->failures.fetch_add(1, std::memory_order_relaxed);
  }
  call.ended = call.delivered = true;
  finish(call, lock, drained);
  return status;
}

palyra_status refuse(palyra_error* error, Code code, const char* message, uint32_t flags = 0) {
  return Status(code, message, flags).to_abi(error);
}

}  // namespace

SlotPool<Call>& calls() {
  static auto* const pool = new SlotPool<Call>();
  return *pool;
}

palyra_status start_call(CallContext context, uint32_t method, palyra_bytes request,
                         const palyra_call_options* options, const palyra_sink* sink,
                         palyra_handle* op, palyra_error* error) {
  if (op == nullptr || sink == nullptr || sink->struct_size < sizeof(palyra_sink) ||
      sink->on_item == nullptr || sink->on_done == nullptr ||
      (request.ptr == nullptr && request.len != 0)) {
    return refuse(error, Code::kInvalidArgument, "a call needs a complete sink, op and request");
  }
  *op = 0;
  palyra_call_options given{};
  given.deadline = PALYRA_NO_DEADLINE;
  if (options != nullptr) {
    std::memcpy(&given, options, std::min<size_t>(options->struct_size, sizeof(given)));
  }
  if (given.idempotency_key.len > kMaxIdempotencyKey || given.traceparent.len > kMaxTraceparent) {
    return refuse(error, Code::kInvalidArgument,
                  "an idempotency key has at most 128 bytes, a traceparent 256",
                  PALYRA_ERROR_USER_FAULT);
  }
  const Shared& shared = *context.shared;
  if (given.deadline != PALYRA_NO_DEADLINE &&
      shared.clock->mono_now(shared.clock->ctx) >= given.deadline) {
    return refuse(error, Code::kDeadlineExceeded, "the deadline had passed before the call");
  }

  Call* call = calls().allocate();
  if (call == nullptr) {
    return refuse(error, Code::kResourceExhausted, "too many service calls are in flight",
                  PALYRA_ERROR_RETRYABLE);
  }
  Lock lock(call->mutex);
  Status problem;
  InstancePtr drained;
  if (!context.endpoint->open_call(call->target)) {
    problem = unavailable(*context.endpoint);
  } else if (given.encoding > PALYRA_ENCODING_JSON ||
             (call->target.encodings & (1u << given.encoding)) == 0) {
    const InstancePtr publisher = std::move(call->target.publisher);
    if (publisher->call_ended()) drained = publisher;
    problem = Status(Code::kUnimplemented,
                     context.endpoint->service_id() + " at \"" + context.endpoint->instance() +
                         "\" does not speak this encoding; see the publication's encodings");
  }
  if (!problem.ok()) {
    lock.unlock();
    calls().recycle(call);
    if (drained) drained->notify_drained();
    return problem.to_abi(error);
  }

  if (call->shared != context.shared) call->shared = std::move(context.shared);
  call->caller = std::move(context.caller);
  call->endpoint = std::move(context.endpoint);
  call->endpoint->calls.fetch_add(1, std::memory_order_relaxed);
  call->endpoint->in_flight.fetch_add(1, std::memory_order_relaxed);
  call->lease = context.lease;
  call->sink = *sink;
  call->credits = given.credits;
  call->pending_grant = 0;
  call->pending_cancel = call->control_posted = call->started = call->publisher_done = false;
  call->ended = call->delivered = call->delivering = call->caller_returned = false;
  call->starting = true;
  call->publisher_op = call->timer = 0;
  call->status = PALYRA_OK;
  call->method = method;
  call->encoding = given.encoding;
  call->deadline = given.deadline;
  if (call->target.publisher->concurrent()) {
    return start_now(*call, lock, request, given, op, error);
  }

  call->request.assign(reinterpret_cast<const char*>(request.ptr),
                       static_cast<size_t>(request.len));
  call->traceparent.assign(view(given.traceparent));
  call->idempotency_key.assign(view(given.idempotency_key));
  call->caller_returned = true;
  *op = call->handle();
  if (call->deadline != PALYRA_NO_DEADLINE) {
    call->timer = call->caller->post_at(call->deadline, &deadline_passed, to_arg(*op));
  }
  call->target.publisher->post(&run_start, to_arg(*op));
  return PALYRA_OK;
}

void grant_call(palyra_handle lease, palyra_handle op, uint32_t credits) {
  Call* call = calls().find(op);
  if (call == nullptr || credits == 0) return;
  Lock lock(call->mutex);
  if (!call->is(op) || call->lease != lease || call->ended) return;
  call->credits = add_credits(call->credits, credits);
  call->pending_grant = add_credits(call->pending_grant, credits);
  tell_publisher(*call, lock);
}

void cancel_call(palyra_handle lease, palyra_handle op) {
  Call* call = calls().find(op);
  if (call == nullptr) return;
  Lock lock(call->mutex);
  if (!call->is(op) || call->lease != lease || call->ended) return;
  call->pending_cancel = true;
  tell_publisher(*call, lock);
}

void cancel_calls_of(palyra_handle lease) {
  calls().for_each([lease](Call& call) {
    Lock lock(call.mutex);
    if (!call.caller || call.lease != lease || call.ended) return;
    call.pending_cancel = true;
    tell_publisher(call, lock);
  });
}

void end_calls_to(const Instance& publisher) {
  calls().for_each([&publisher](Call& call) {
    Lock lock(call.mutex);
    if (!call.caller || call.target.publisher.get() != &publisher || call.publisher_done) return;
    // A start on another thread that found the gate closed gives the object back itself.
    if (!publisher.concurrent()) call.starting = false;
    end(call, unavailable(*call.endpoint));
    const InstancePtr drained = publisher_finished(call);
    schedule_delivery(call);
    finish(call, lock, drained);
  });
}

void abandon_calls_from(const Instance& caller) {
  calls().for_each([&caller](Call& call) {
    Lock lock(call.mutex);
    if (call.caller.get() != &caller) return;
    drop_items(call);
    call.shared->release(std::exchange(call.result, nullptr));
    call.ended = call.delivered = true;
    call.timer = 0;
    call.pending_cancel = !call.publisher_done;
    tell_publisher(call, lock);
  });
}

}  // namespace palyra::registry
