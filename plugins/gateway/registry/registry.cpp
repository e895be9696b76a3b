#include "plugins/gateway/registry/registry.h"

namespace palyra::registry {
namespace {

Status denied(std::string message) { return Status(Code::kPermissionDenied, std::move(message)); }

Status closed(const Instance& instance) {
  return Status(Code::kFailedPrecondition, "instance \"" + instance.name() + "\" was closed");
}

Status too_many(const Instance& instance, const char* what) {
  return Status(Code::kResourceExhausted,
                "instance \"" + instance.name() + "\" has too many " + what);
}

}  // namespace

Registry::Registry(const palyra_buffers* buffers, const palyra_clock* clock)
    : shared_(std::make_shared<Shared>()) {
  shared_->buffers = buffers;
  shared_->clock = clock;
}

Registry::~Registry() {
  for (;;) {
    std::string name;
    {
      std::lock_guard lock(mutex_);
      if (instances_.empty()) return;
      name = instances_.begin()->first;
    }
    close(name);
  }
}

void Registry::bind(std::map<std::string, std::string, std::less<>> bindings) {
  std::lock_guard lock(mutex_);
  bindings_ = std::move(bindings);
}

Result<InstancePtr> Registry::open(const palyra_instance_info& info, Role role) {
  const std::string name(view(info.instance));
  if (name.empty() || info.executor == nullptr) {
    return Status(Code::kInvalidArgument, "an instance needs a name and an executor");
  }
  Result<Rights> rights = Rights::parse(view(info.manifest), view(info.grant));
  if (!rights.ok()) {
    return Status(rights.status().code(), name + ": " + rights.status().message());
  }
  auto instance =
      std::make_shared<Instance>(Instance::Identity{name, std::string(view(info.plugin_id)),
                                                    info.trusted != 0, role == Role::kHub},
                                 std::move(*rights), info.executor);
  if (role == Role::kHub) instance->activate();
  std::lock_guard lock(mutex_);
  if (!instances_.try_emplace(name, Entry{instance, {}, {}, {}}).second) {
    return Status(Code::kAlreadyExists,
                  "instance \"" + name + "\" is open already; names in [plugins] are unique");
  }
  return instance;
}

void Registry::activate(std::string_view name) {
  std::lock_guard lock(mutex_);
  const auto found = instances_.find(name);
  if (found == instances_.end()) return;
  found->second.instance->activate();
  for (const auto& [handle, endpoint] : found->second.publications) {
    if (auto info = endpoint->show()) tell_watchers_locked(PALYRA_WATCH_ADDED, info);
  }
}

void Registry::drain(std::string_view name, palyra_task_fn done, void* arg) {
  InstancePtr instance;
  {
    std::lock_guard lock(mutex_);
    const auto found = instances_.find(name);
    if (found != instances_.end()) {
      instance = found->second.instance;
      for (const auto& [handle, endpoint] : found->second.publications) {
        if (auto info = endpoint->hide()) tell_watchers_locked(PALYRA_WATCH_REMOVED, info);
      }
    }
  }
  if (!instance) return done(arg);
  instance->drain(done, arg);
}

void Registry::close(std::string_view name) {
  Entry entry;
  {
    std::lock_guard lock(mutex_);
    const auto found = instances_.find(name);
    if (found == instances_.end() || found->second.instance == nullptr) return;
    entry = std::move(found->second);
    found->second = Entry();  // the name stays taken until nothing of it is left
    for (const auto& [handle, endpoint] : entry.publications) {
      if (auto info = endpoint->withdraw(entry.instance.get())) {
        tell_watchers_locked(PALYRA_WATCH_REMOVED, info);
      }
      forget_if_unused_locked(*endpoint);
    }
    for (auto& [service_id, handles] : watchers_) {
      for (const palyra_handle handle : entry.watches) handles.erase(handle);
    }
  }
  for (const palyra_handle handle : entry.watches) close_watch(handle, *entry.instance);
  std::vector<EndpointPtr> left;
  for (const palyra_handle handle : entry.leases) {
    EndpointPtr endpoint;
    if (close_lease(handle, *entry.instance, endpoint) && endpoint) left.push_back(endpoint);
  }
  entry.instance->close();
  end_calls_to(*entry.instance);
  abandon_calls_from(*entry.instance);

  std::lock_guard lock(mutex_);
  for (const EndpointPtr& endpoint : left) {
    --endpoint->leases;
    forget_if_unused_locked(*endpoint);
  }
  instances_.erase(instances_.find(name));
}

Status Registry::may_publish_locked(const Instance& publisher,
                                    const std::string& service_id) const {
  const auto& identity = publisher.identity();
  if (!is_service_id(service_id)) {
    return Status(Code::kInvalidArgument, "a service id looks like \"palyra.tool/1\", not \"" +
                                              service_id.substr(0, 80) + "\"");
  }
  if (publisher.rights().provides.count(service_id) == 0) {
    return denied(identity.name + " may not publish " + service_id +
                  ": its manifest's \"provides\" or the operator's grant does not list it");
  }
  if (is_hub_service(service_id) && !identity.hub) {
    return denied(identity.name + " may not publish " + service_id +
                  ": only the gateway offers it");
  }
  if (!is_single_service(service_id) || identity.hub) return {};
  const auto bound = bindings_.find(service_id);
  if (bound != bindings_.end() && bound->second != identity.name) {
    return denied(identity.name + " may not publish " + service_id + ": [services] binds it to \"" +
                  bound->second + "\"");
  }
  if (bound == bindings_.end() && !identity.trusted) {
    return denied(identity.name + " may not publish " + service_id +
                  ": it is not a trusted plugin; to choose it, add \"" + service_id + "\" = \"" +
                  identity.name + "\" to [services]");
  }
  return {};
}

Result<palyra_handle> Registry::publish(const InstancePtr& publisher, Offer offer) {
  offer.info.instance = publisher->name();
  std::lock_guard lock(mutex_);
  if (Status status = may_publish_locked(*publisher, offer.info.service_id); !status.ok()) {
    return status;
  }
  Entry* entry = entry_locked(*publisher);
  if (entry == nullptr || publisher->draining()) return closed(*publisher);
  if (entry->publications.size() >= kMaxPublications) return too_many(*publisher, "publications");
  const EndpointPtr endpoint = endpoint_locked(offer.info.service_id, publisher->name());
  auto info = std::make_shared<const PublicationInfo>(std::move(offer.info));
  if (!endpoint->publish({publisher, offer.service, offer.self, info->encodings}, info)) {
    return Status(Code::kAlreadyExists,
                  publisher->name() + " publishes " + info->service_id + " already");
  }
  const palyra_handle handle = next_publication_++;
  entry->publications.emplace(handle, endpoint);
  if (publisher->active() && endpoint->show()) tell_watchers_locked(PALYRA_WATCH_ADDED, info);
  return handle;
}

void Registry::withdraw(const Instance& publisher, palyra_handle publication) {
  std::lock_guard lock(mutex_);
  Entry* entry = entry_locked(publisher);
  if (entry == nullptr) return;
  const auto found = entry->publications.find(publication);
  if (found == entry->publications.end()) return;
  const EndpointPtr endpoint = std::move(found->second);
  entry->publications.erase(found);
  if (auto info = endpoint->withdraw(&publisher)) {
    tell_watchers_locked(PALYRA_WATCH_REMOVED, info);
  }
  forget_if_unused_locked(*endpoint);
}

Status Registry::may_acquire(const Instance& caller, std::string_view service_id) {
  if (caller.rights().requires_ids.find(service_id) != caller.rights().requires_ids.end()) {
    return {};
  }
  return denied(caller.name() + " may not use " + std::string(service_id.substr(0, 128)) +
                ": its manifest's \"requires\" or the operator's grant does not list it");
}

Result<Registry::Acquired> Registry::acquire(const InstancePtr& caller, std::string_view service_id,
                                             std::string_view instance) {
  if (Status status = may_acquire(*caller, service_id); !status.ok()) return status;
  if (instance.size() > 128) {
    return Status(Code::kInvalidArgument, "an instance name has at most 128 bytes");
  }
  std::lock_guard lock(mutex_);
  Entry* entry = entry_locked(*caller);
  if (entry == nullptr) return closed(*caller);
  if (entry->leases.size() >= kMaxLeases) return too_many(*caller, "clients");
  EndpointPtr endpoint;
  bool fixed = true;
  if (instance.empty()) {
    Result<EndpointPtr> found = resolve_locked(service_id, fixed);
    if (!found.ok()) return found.status();
    endpoint = std::move(*found);
  } else {
    endpoint = endpoint_locked(service_id, instance);
  }
  const palyra_handle lease =
      open_lease(shared_, caller, fixed ? endpoint : nullptr, this, std::string(service_id), fixed);
  if (lease == 0) return too_many(*caller, "clients");
  entry->leases.insert(lease);
  if (fixed) ++endpoint->leases;
  return Acquired{lease, endpoint ? endpoint->encodings() : 0};
}

void Registry::release(const Instance& caller, palyra_handle lease) {
  {
    std::lock_guard lock(mutex_);
    Entry* entry = entry_locked(caller);
    if (entry == nullptr || entry->leases.erase(lease) == 0) return;
  }
  EndpointPtr endpoint;
  if (!close_lease(lease, caller, endpoint) || !endpoint) return;
  std::lock_guard lock(mutex_);
  --endpoint->leases;
  forget_if_unused_locked(*endpoint);
}

Result<palyra_handle> Registry::watch(const InstancePtr& watcher, std::string_view service_id,
                                      const palyra_watch_sink& sink) {
  if (Status status = may_acquire(*watcher, service_id); !status.ok()) return status;
  std::lock_guard lock(mutex_);
  Entry* entry = entry_locked(*watcher);
  if (entry == nullptr) return closed(*watcher);
  if (entry->watches.size() >= kMaxWatches) return too_many(*watcher, "watches");
  const palyra_handle watch = open_watch(watcher, sink);
  if (watch == 0) return too_many(*watcher, "watches");
  entry->watches.insert(watch);
  watchers_[std::string(service_id)].insert(watch);
  if (const auto found = endpoints_.find(service_id); found != endpoints_.end()) {
    for (const auto& [name, endpoint] : found->second) {
      if (auto info = endpoint->visible_info()) notify_watch(watch, PALYRA_WATCH_ADDED, info);
    }
  }
  return watch;
}

void Registry::unwatch(const Instance& watcher, palyra_handle watch) {
  std::lock_guard lock(mutex_);
  Entry* entry = entry_locked(watcher);
  if (entry == nullptr || entry->watches.erase(watch) == 0) return;
  for (auto& [service_id, handles] : watchers_) handles.erase(watch);
  close_watch(watch, watcher);
}

std::vector<ServiceStats> Registry::stats() const {
  std::lock_guard lock(mutex_);
  std::vector<ServiceStats> all;
  for (const auto& [service_id, by_instance] : endpoints_) {
    for (const auto& [name, endpoint] : by_instance) all.push_back(endpoint->stats());
  }
  return all;
}

Result<EndpointPtr> Registry::resolve(const std::string& service_id) {
  std::lock_guard lock(mutex_);
  bool fixed = false;
  return resolve_locked(service_id, fixed);
}

Result<EndpointPtr> Registry::resolve_locked(std::string_view service_id, bool& fixed) {
  const auto bound = bindings_.find(service_id);
  fixed = bound != bindings_.end();
  if (fixed) return endpoint_locked(service_id, bound->second);
  EndpointPtr only;
  if (const auto found = endpoints_.find(service_id); found != endpoints_.end()) {
    for (const auto& [name, endpoint] : found->second) {
      if (!endpoint->taken()) continue;
      if (only) {
        return Status(Code::kFailedPrecondition,
                      std::string(service_id) + " is offered by \"" + only->instance() +
                          "\" and \"" + name + "\"; choose one: [services] \"" +
                          std::string(service_id) + "\" = \"" + only->instance() + "\"");
      }
      only = endpoint;
    }
  }
  return only;
}

EndpointPtr Registry::endpoint_locked(std::string_view service_id, std::string_view instance) {
  auto service = endpoints_.find(service_id);
  if (service == endpoints_.end()) {
    service = endpoints_.emplace(std::string(service_id), ByInstance()).first;
  }
  auto found = service->second.find(instance);
  if (found == service->second.end()) {
    auto endpoint = std::make_shared<Endpoint>(std::string(service_id), std::string(instance));
    found = service->second.emplace(std::string(instance), std::move(endpoint)).first;
  }
  return found->second;
}

void Registry::forget_if_unused_locked(const Endpoint& endpoint) {
  if (endpoint.leases != 0 || endpoint.taken()) return;
  const auto service = endpoints_.find(endpoint.service_id());
  if (service == endpoints_.end()) return;
  const auto found = service->second.find(endpoint.instance());
  if (found == service->second.end() || found->second.get() != &endpoint) return;
  const EndpointPtr last = std::move(found->second);
  service->second.erase(found);
  if (service->second.empty()) endpoints_.erase(service);
}

void Registry::tell_watchers_locked(uint32_t kind,
                                    const std::shared_ptr<const PublicationInfo>& info) {
  const auto found = watchers_.find(info->service_id);
  if (found == watchers_.end()) return;
  for (const palyra_handle watch : found->second) notify_watch(watch, kind, info);
}

Registry::Entry* Registry::entry_locked(const Instance& instance) {
  const auto found = instances_.find(instance.name());
  return found != instances_.end() && found->second.instance.get() == &instance ? &found->second
                                                                                : nullptr;
}

}  // namespace palyra::registry
