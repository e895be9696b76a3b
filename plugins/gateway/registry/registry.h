// The registry: who offers what, who may use it, who waits for it.
#pragma once

#include "palyra/registry.h"
#include "plugins/gateway/registry/endpoint.h"
#include "plugins/gateway/registry/instance.h"
#include "plugins/gateway/registry/lease.h"
#include "plugins/gateway/registry/watch.h"

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::registry {

// The C++ side of palyra.registry/1 and palyra.registry_host/1; registry_host.h puts it behind
// their tables. Any thread may call anything. `mutex_` guards who is there; it is never held while
// code of a plugin runs, and comes before every other lock here. Endpoints live as long as
// something is published or leased there, calls and clients in pools of their own (call.h,
// lease.h), so the path of a call does not touch this class.
class Registry : private Resolver {
 public:
  // The tables must outlive the registry.
  Registry(const palyra_buffers* buffers, const palyra_clock* clock);
  // Closes what is still open.
  ~Registry() override;
  Registry(const Registry&) = delete;

  enum class Role { kPlugin, kHub };

  // Service id -> instance, from [services]. Before the first open.
  void bind(std::map<std::string, std::string, std::less<>> bindings);
  // ALREADY_EXISTS for an instance that is open, INVALID_ARGUMENT for a bad manifest or grant. The
  // hub is active at once.
  Result<InstancePtr> open(const palyra_instance_info& info, Role role);
  void activate(std::string_view instance);
  // done(arg) at once for an unknown instance.
  void drain(std::string_view instance, palyra_task_fn done, void* arg);
  // Must not be called from a function that the registry called.
  void close(std::string_view instance);

  struct Offer {
    const palyra_service* service = nullptr;
    void* self = nullptr;
    PublicationInfo info;
  };
  Result<palyra_handle> publish(const InstancePtr& publisher, Offer offer);
  void withdraw(const Instance& publisher, palyra_handle publication);
  struct Acquired {
    palyra_handle lease = 0;
    uint32_t encodings = 0;
  };
  Result<Acquired> acquire(const InstancePtr& caller, std::string_view service_id,
                           std::string_view instance);
  void release(const Instance& caller, palyra_handle lease);
  Result<palyra_handle> watch(const InstancePtr& watcher, std::string_view service_id,
                              const palyra_watch_sink& sink);
  void unwatch(const Instance& watcher, palyra_handle watch);

  // One entry for each endpoint that is there, by service id and instance.
  std::vector<ServiceStats> stats() const;
  // Broken rules since start, of all services.
  uint64_t faults() const { return shared_->faults.load(); }
  const std::shared_ptr<Shared>& shared() const { return shared_; }

 private:
  static constexpr size_t kMaxLeases = 4096;  // of one instance
  static constexpr size_t kMaxWatches = 256;
  static constexpr size_t kMaxPublications = 256;

  struct Entry {
    InstancePtr instance;
    std::set<palyra_handle> leases;
    std::set<palyra_handle> watches;
    std::map<palyra_handle, EndpointPtr> publications;
  };
  using ByInstance = std::map<std::string, EndpointPtr, std::less<>>;

  Result<EndpointPtr> resolve(const std::string& service_id) override;
  Result<EndpointPtr> resolve_locked(std::string_view service_id, bool& fixed);
  EndpointPtr endpoint_locked(std::string_view service_id, std::string_view instance);
  void forget_if_unused_locked(const Endpoint& endpoint);
  void tell_watchers_locked(uint32_t kind, const std::shared_ptr<const PublicationInfo>& info);
  Entry* entry_locked(const Instance& instance);
  Status may_publish_locked(const Instance& publisher, const std::string& service_id) const;
  static Status may_acquire(const Instance& caller, std::string_view service_id);

  const std::shared_ptr<Shared> shared_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string, std::less<>> bindings_;
  std::map<std::string, Entry, std::less<>> instances_;
  std::map<std::string, ByInstance, std::less<>> endpoints_;
  std::map<std::string, std::set<palyra_handle>, std::less<>> watchers_;
  palyra_handle next_publication_ = 1;
};

}  // namespace palyra::registry
