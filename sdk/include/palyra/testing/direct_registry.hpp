// SPDX-License-Identifier: Apache-2.0
// DirectRegistry: connects published services to clients inside a test, with the rules of the real
// registry that a plugin can feel: completions are posted to the caller's lane, exactly once;
// credits and deadlines hold; a released client's calls are cancelled and complete; watches see
// changes.
//
// Invariants: all instances share one FakeHost lane. Publishers may complete from any thread. It
// outlives the instances. Breaches by a publisher are counted in faults, not delivered.
#pragma once

#include "palyra/host.hpp"
#include "palyra/testing/fake_host.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace palyra::testing {

class DirectRegistry {
 public:
  DirectRegistry(DeterministicExecutor& executor, const palyra_buffers* buffers)
      : executor_(executor), buffers_(buffers) {}
  DirectRegistry(const DirectRegistry&) = delete;
  DirectRegistry& operator=(const DirectRegistry&) = delete;

  // The table of the instance `name`; hand it to FakeHost::set_registry before host().
  const palyra_registry* table(const std::string& name) {
    auto& identity = identities_.emplace_back(std::make_unique<Identity>());
    identity->registry = this;
    identity->name = name;
    identity->table = {sizeof(palyra_registry),
                       0,
                       identity.get(),
                       &publish,
                       &withdraw,
                       &acquire,
                       &release,
                       &watch,
                       &unwatch};
    return &identity->table;
  }

  // Second or late completions and items beyond the credits.
  int faults() const { return faults_; }
  // Calls whose caller still waits.
  size_t calls_in_flight() const {
    return static_cast<size_t>(std::count_if(calls_.begin(), calls_.end(),
                                             [](const auto& call) { return !call->closed; }));
  }
  // The publisher dies: its calls end UNAVAILABLE, retryable, and it is not called any more.
  void crash(const std::string& instance) {
    for (size_t i = publications_.size(); i-- > 0;) {
      if (publications_[i]->instance == instance) drop(i);
    }
    for (auto& call : calls_) {
      if (call->closed || call->publisher != instance) continue;
      call->service = nullptr;
      close(*call, PALYRA_UNAVAILABLE, nullptr, "the publisher is gone: try again",
            PALYRA_ERROR_RETRYABLE);
    }
  }

 private:
  struct Identity {
    DirectRegistry* registry;
    std::string name;
    palyra_registry table;
  };
  struct Publication {
    palyra_handle handle;
    std::string service_id, instance;
    const palyra_service* service;
    void* self;
    uint32_t encodings;
    std::vector<std::pair<std::string, std::string>> labels;
  };
  struct Lease {
    DirectRegistry* registry;
    palyra_handle handle;
    std::string service_id, instance, caller;
    palyra_service table;
    bool released = false;
  };
  struct Call {
    DirectRegistry* registry;
    palyra_handle handle;
    palyra_handle lease;
    std::string publisher;
    palyra_sink sink;
    const palyra_service* service;  // null once the publisher must not be called
    void* self;
    palyra_handle op = 0;
    uint64_t credits = 0;
    TimerId timer = 0;
    bool completed = false;  // by the publisher
    bool closed = false;     // towards the caller
  };
  struct Watch {
    palyra_handle handle;
    std::string service_id;
    palyra_watch_sink sink;
    bool ended = false;
  };

  static palyra_status no(Code code, const std::string& why, palyra_error* error,
                          uint32_t flags = 0) {
    return Status(code, why, flags).to_abi(error);
  }

  static palyra_status publish(void* ctx, palyra_str service_id, const palyra_service* service,
                               void* self, const palyra_publish_options* options,
                               palyra_handle* publication, palyra_error* error) {
    auto& identity = *static_cast<Identity*>(ctx);
    DirectRegistry& r = *identity.registry;
    for (const auto& other : r.publications_) {
      if (other->service_id == view(service_id) && other->instance == identity.name) {
        return no(Code::kAlreadyExists, identity.name + " has published this service", error);
      }
    }
    auto entry = std::make_shared<Publication>();
    entry->handle = ++r.last_;
    entry->service_id = view(service_id);
    entry->instance = identity.name;
    entry->service = service;
    entry->self = self;
    const uint32_t encodings = options != nullptr ? options->encodings : 0;
    entry->encodings = encodings != 0 ? encodings : 1u << PALYRA_ENCODING_PROTOBUF;
    for (uint32_t i = 0; options != nullptr && i < options->label_count; ++i) {
      entry->labels.emplace_back(view(options->labels[i].name), view(options->labels[i].value));
    }
    if (publication != nullptr) *publication = entry->handle;
    r.publications_.push_back(entry);
    for (auto& watch : r.watches_) r.tell(watch, PALYRA_WATCH_ADDED, entry);
    return PALYRA_OK;
  }
  static void withdraw(void* ctx, palyra_handle publication) {
    DirectRegistry& r = *static_cast<Identity*>(ctx)->registry;
    for (size_t i = 0; i < r.publications_.size(); ++i) {
      if (r.publications_[i]->handle == publication) return r.drop(i);
    }
  }
  void drop(size_t index) {
    auto entry = publications_[index];
    publications_.erase(publications_.begin() + static_cast<std::ptrdiff_t>(index));
    for (auto& watch : watches_) tell(watch, PALYRA_WATCH_REMOVED, entry);
  }
  void tell(const std::shared_ptr<Watch>& watch, uint32_t event,
            const std::shared_ptr<Publication>& entry) {
    if (watch->ended || watch->service_id != entry->service_id) return;
    executor_.post([watch, event, entry] {
      if (watch->ended) return;
      std::vector<palyra_field> labels;
      for (const auto& label : entry->labels) {
        labels.push_back({to_str(label.first), to_str(label.second)});
      }
      const palyra_publication borrowed{sizeof(palyra_publication),
                                        entry->encodings,
                                        to_str(entry->service_id),
                                        to_str(entry->instance),
                                        labels.data(),
                                        static_cast<uint32_t>(labels.size()),
                                        0};
      watch->sink.on_change(watch->sink.ctx, event, &borrowed);
    });
  }
  static palyra_status watch(void* ctx, palyra_str service_id, const palyra_watch_sink* sink,
                             palyra_handle* handle, palyra_error*) {
    DirectRegistry& r = *static_cast<Identity*>(ctx)->registry;
    auto entry = std::make_shared<Watch>(Watch{++r.last_, std::string(view(service_id)), *sink});
    r.watches_.push_back(entry);
    *handle = entry->handle;
    for (const auto& publication : r.publications_) r.tell(entry, PALYRA_WATCH_ADDED, publication);
    return PALYRA_OK;
  }
  static void unwatch(void* ctx, palyra_handle handle) {
    auto& watches = static_cast<Identity*>(ctx)->registry->watches_;
    for (auto& entry : watches) {
      if (entry->handle == handle) entry->ended = true;
    }
    std::erase_if(watches, [](const auto& entry) { return entry->ended; });
  }

  // The publication for a lease; null if none is there now.
  Publication* find(const std::string& service_id, const std::string& instance) {
    for (auto& entry : publications_) {
      if (entry->service_id == service_id && (instance.empty() || entry->instance == instance)) {
        return entry.get();
      }
    }
    return nullptr;
  }
  static palyra_status acquire(void* ctx, palyra_str service_id, palyra_str instance,
                               palyra_client* client, palyra_error*) {
    auto& identity = *static_cast<Identity*>(ctx);
    DirectRegistry& r = *identity.registry;
    auto& lease = r.leases_.emplace_back(std::make_unique<Lease>());
    lease->registry = &r;
    lease->handle = ++r.last_;
    lease->service_id = view(service_id);
    lease->instance = view(instance);
    lease->caller = identity.name;
    lease->table = {sizeof(palyra_service), 0, &start, &grant, &cancel};
    const Publication* publication = r.find(lease->service_id, lease->instance);
    client->lease = lease->handle;
    client->encodings = publication != nullptr ? publication->encodings : 0;
    client->service = &lease->table;
    client->self = lease.get();
    return PALYRA_OK;
  }
  static void release(void* ctx, palyra_handle handle) {
    DirectRegistry& r = *static_cast<Identity*>(ctx)->registry;
    for (auto& lease : r.leases_) {
      if (lease->handle == handle) lease->released = true;
    }
    for (auto& call : r.calls_) {
      if (call->lease == handle && !call->closed) stop(*call);
    }
  }
  static void stop(Call& call) {
    if (call.service != nullptr && !call.completed) call.service->cancel(call.self, call.op);
  }

  static palyra_status start(void* self, uint32_t method, palyra_bytes request,
                             const palyra_call_options* options, const palyra_sink* sink,
                             palyra_handle* op, palyra_error* error) {
    Lease& lease = *static_cast<Lease*>(self);
    DirectRegistry& r = *lease.registry;
    if (lease.released) return no(Code::kFailedPrecondition, "the lease was released", error);
    Publication* publication = r.find(lease.service_id, lease.instance);
    if (publication == nullptr) {
      return no(Code::kUnavailable, "nobody publishes " + lease.service_id + " now: try again",
                error, PALYRA_ERROR_RETRYABLE);
    }
    palyra_call_options known{};
    known.deadline = PALYRA_NO_DEADLINE;
    if (options != nullptr) {
      std::memcpy(&known, options, std::min<size_t>(options->struct_size, sizeof(known)));
    }
    known.struct_size = sizeof(known);
    known.caller = to_str(lease.caller);
    known.caller_flags = 0;
    if ((publication->encodings & (1u << known.encoding)) == 0) {
      return no(Code::kUnimplemented, publication->instance + " does not speak this encoding",
                error);
    }
    Call& call = *r.calls_.emplace_back(std::make_unique<Call>());
    call.registry = &r;
    call.handle = ++r.last_;
    call.lease = lease.handle;
    call.publisher = publication->instance;
    call.sink = *sink;
    call.service = publication->service;
    call.self = publication->self;
    call.credits = known.credits;
    *op = call.handle;
    const palyra_sink own{sizeof(palyra_sink), 0, &call, &on_item, &on_done};
    const palyra_status code =
        call.service->start(call.self, method, request, &known, &own, &call.op, error);
    if (code != PALYRA_OK) {
      call.closed = call.completed = true;
      return code;
    }
    if (known.deadline != PALYRA_NO_DEADLINE) {
      call.timer = r.executor_.post_at(known.deadline, [&call, &r] {
        if (call.closed) return;
        stop(call);
        r.close(call, PALYRA_DEADLINE_EXCEEDED, nullptr, "the deadline has passed", 0);
      });
    }
    return PALYRA_OK;
  }
  static Call* find_call(void* self, palyra_handle op) {
    for (auto& call : static_cast<Lease*>(self)->registry->calls_) {
      if (call->handle == op && !call->closed) return call.get();
    }
    return nullptr;
  }
  static void grant(void* self, palyra_handle op, uint32_t credits) {
    Call* call = find_call(self, op);
    if (call == nullptr || call->completed || call->service == nullptr) return;
    call->credits += credits;
    call->service->grant(call->self, call->op, credits);
  }
  static void cancel(void* self, palyra_handle op) {
    if (Call* call = find_call(self, op)) stop(*call);
  }

  static void on_item(void* ctx, palyra_buffer* item) {
    Call& call = *static_cast<Call*>(ctx);
    call.registry->executor_.post(
        [&call, buffer = Buffer(call.registry->buffers_, item)]() mutable {
          if (call.completed || call.credits == 0) {
            ++call.registry->faults_;
            return;
          }
          --call.credits;
          if (!call.closed) call.sink.on_item(call.sink.ctx, buffer.release());
        });
  }
  static void on_done(void* ctx, palyra_status status, palyra_buffer* result,
                      const palyra_error* error) {
    Call& call = *static_cast<Call*>(ctx);
    const palyra_error copy = error != nullptr ? *error : make_error();
    call.registry->executor_.post(
        [&call, status, copy, buffer = Buffer(call.registry->buffers_, result)]() mutable {
          if (call.completed) {
            ++call.registry->faults_;
            return;
          }
          call.completed = true;
          call.registry->close(call, status, buffer.release(), copy.message, copy.flags);
        });
  }
  // Tells the caller how it ended, once, from the lane.
  void close(Call& call, palyra_status status, palyra_buffer* result, std::string_view message,
             uint32_t flags) {
    Buffer buffer(buffers_, result);
    if (call.closed) return;
    call.closed = true;
    if (call.timer != 0) executor_.cancel(call.timer);
    palyra_error error = make_error();
    if (status != PALYRA_OK) {
      (void)Status(static_cast<Code>(status), std::string(message), flags).to_abi(&error);
    }
    call.sink.on_done(call.sink.ctx, status, buffer.release(),
                      status == PALYRA_OK ? nullptr : &error);
  }

  DeterministicExecutor& executor_;
  const palyra_buffers* buffers_;
  palyra_handle last_ = 0;
  int faults_ = 0;
  std::vector<std::unique_ptr<Identity>> identities_;
  std::vector<std::shared_ptr<Publication>> publications_;
  std::vector<std::unique_ptr<Lease>> leases_;
  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<std::shared_ptr<Watch>> watches_;
};

}  // namespace palyra::testing
