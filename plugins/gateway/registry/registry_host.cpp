#include "plugins/gateway/registry/registry_host.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace palyra::registry {

// What an instance's ctx points to. `instance` is null once closed.
struct RegistryHost::Table {
  palyra_registry table{};
  std::mutex mutex;
  Registry* registry = nullptr;
  InstancePtr instance;

  static Table& of(void* ctx) { return *static_cast<Table*>(ctx); }
  InstancePtr current() {
    std::lock_guard lock(mutex);
    return instance;
  }
  void end() {
    std::lock_guard lock(mutex);
    instance.reset();
  }
};

namespace {

constexpr uint32_t kMaxLabels = 32;
constexpr uint64_t kMaxLabelBytes = 256;

Status bad(const char* message) { return Status(Code::kInvalidArgument, message); }

Status closed() {
  return Status(Code::kFailedPrecondition, "this instance was closed; nothing is registered");
}

bool complete(const palyra_service* service) {
  return service != nullptr &&
         service->struct_size >= offsetof(palyra_service, cancel) + sizeof(service->cancel) &&
         service->start != nullptr && service->grant != nullptr && service->cancel != nullptr;
}

Status read_options(const palyra_publish_options* given, PublicationInfo& info) {
  palyra_publish_options options{};
  if (given != nullptr) {
    std::memcpy(&options, given, std::min<size_t>(given->struct_size, sizeof(options)));
  }
  constexpr uint32_t kKnown = (1u << PALYRA_ENCODING_PROTOBUF) | (1u << PALYRA_ENCODING_JSON);
  if ((options.encodings & ~kKnown) != 0) return bad("publish: unknown encoding");
  if (options.encodings != 0) info.encodings = options.encodings;
  if (options.label_count > kMaxLabels || (options.label_count != 0 && options.labels == nullptr)) {
    return bad("publish: at most 32 labels");
  }
  for (uint32_t i = 0; i < options.label_count; ++i) {
    const palyra_field& label = options.labels[i];
    if (label.name.len > kMaxLabelBytes || label.value.len > kMaxLabelBytes) {
      return bad("publish: a label has at most 256 bytes");
    }
    info.labels.emplace_back(view(label.name), view(label.value));
  }
  return {};
}

}  // namespace

RegistryHost::RegistryHost(const palyra_buffers* buffers, const palyra_clock* clock)
    : registry_(buffers, clock), table_(make_table(this)) {}

RegistryHost::~RegistryHost() {
  while (!open_.empty()) close(std::string(open_.begin()->first));
}

Result<const palyra_registry*> RegistryHost::open_hub(const palyra_instance_info& info) {
  return open(info, Registry::Role::kHub);
}

Result<const palyra_registry*> RegistryHost::open(const palyra_instance_info& info,
                                                  Registry::Role role) {
  Result<InstancePtr> instance = registry_.open(info, role);
  if (!instance.ok()) return instance.status();
  auto entry = std::make_unique<Table>();
  entry->registry = &registry_;
  entry->instance = *instance;
  palyra_registry& table = entry->table;
  table.struct_size = sizeof(table);
  table.ctx = entry.get();
  table.publish = [](void* ctx, palyra_str service_id, const palyra_service* service, void* self,
                     const palyra_publish_options* options, palyra_handle* publication,
                     palyra_error* error) -> palyra_status {
    Table& entry_of = Table::of(ctx);
    const InstancePtr publisher = entry_of.current();
    if (!publisher) return closed().to_abi(error);
    if (publication == nullptr || !complete(service)) {
      return bad("publish: the service table or the publication is missing").to_abi(error);
    }
    *publication = 0;
    Registry::Offer offer{service, self, {}};
    offer.info.service_id = view(service_id);
    if (Status status = read_options(options, offer.info); !status.ok()) {
      return status.to_abi(error);
    }
    Result<palyra_handle> result = entry_of.registry->publish(publisher, std::move(offer));
    if (!result.ok()) return result.status().to_abi(error);
    *publication = *result;
    return PALYRA_OK;
  };
  table.withdraw = [](void* ctx, palyra_handle publication) {
    Table& entry_of = Table::of(ctx);
    if (const InstancePtr publisher = entry_of.current()) {
      entry_of.registry->withdraw(*publisher, publication);
    }
  };
  table.acquire = [](void* ctx, palyra_str service_id, palyra_str instance_name,
                     palyra_client* client, palyra_error* error) -> palyra_status {
    Table& entry_of = Table::of(ctx);
    const InstancePtr caller = entry_of.current();
    if (!caller) return closed().to_abi(error);
    if (client == nullptr || client->struct_size < sizeof(palyra_client)) {
      return bad("acquire: the client is missing").to_abi(error);
    }
    auto result = entry_of.registry->acquire(caller, view(service_id), view(instance_name));
    if (!result.ok()) return result.status().to_abi(error);
    client->encodings = result->encodings;
    client->lease = result->lease;
    client->service = &call_service();
    client->self = reinterpret_cast<void*>(result->lease);
    return PALYRA_OK;
  };
  table.release = [](void* ctx, palyra_handle lease) {
    Table& entry_of = Table::of(ctx);
    if (const InstancePtr caller = entry_of.current()) {
      entry_of.registry->release(*caller, lease);
    }
  };
  table.watch = [](void* ctx, palyra_str service_id, const palyra_watch_sink* sink,
                   palyra_handle* watch, palyra_error* error) -> palyra_status {
    Table& entry_of = Table::of(ctx);
    const InstancePtr watcher = entry_of.current();
    if (!watcher) return closed().to_abi(error);
    if (watch == nullptr || sink == nullptr || sink->struct_size < sizeof(palyra_watch_sink) ||
        sink->on_change == nullptr) {
      return bad("watch: the sink or the handle is missing").to_abi(error);
    }
    Result<palyra_handle> result = entry_of.registry->watch(watcher, view(service_id), *sink);
    *watch = result.ok() ? *result : 0;
    return result.status().to_abi(error);
  };
  table.unwatch = [](void* ctx, palyra_handle watch) {
    Table& entry_of = Table::of(ctx);
    if (const InstancePtr watcher = entry_of.current()) {
      entry_of.registry->unwatch(*watcher, watch);
    }
  };

  std::lock_guard lock(mutex_);
  const palyra_registry* out = &table;
  open_[(*instance)->name()] = std::move(entry);
  return out;
}

void RegistryHost::close(std::string_view instance) {
  registry_.close(instance);
  std::lock_guard lock(mutex_);
  const auto found = open_.find(instance);
  if (found == open_.end()) return;
  found->second->end();
  closed_.push_back(std::move(found->second));
  open_.erase(found);
  if (closed_.size() > kKeptTables) closed_.pop_front();
}

palyra_registry_host RegistryHost::make_table(RegistryHost* self) {
  palyra_registry_host table{};
  table.struct_size = sizeof(table);
  table.ctx = self;
  table.bind = [](void* ctx, const palyra_field* bindings, uint32_t count) {
    std::map<std::string, std::string, std::less<>> all;
    for (uint32_t i = 0; i < count; ++i) {
      all.emplace(view(bindings[i].name), view(bindings[i].value));
    }
    static_cast<RegistryHost*>(ctx)->registry_.bind(std::move(all));
  };
  table.open = [](void* ctx, const palyra_instance_info* info, const palyra_registry** out,
                  palyra_error* error) -> palyra_status {
    if (info == nullptr || out == nullptr || info->struct_size < sizeof(palyra_instance_info)) {
      return bad("open: the instance info is missing").to_abi(error);
    }
    auto result = static_cast<RegistryHost*>(ctx)->open(*info, Registry::Role::kPlugin);
    *out = result.ok() ? *result : nullptr;
    return result.status().to_abi(error);
  };
  table.activate = [](void* ctx, palyra_str instance) {
    static_cast<RegistryHost*>(ctx)->registry_.activate(view(instance));
  };
  table.drain = [](void* ctx, palyra_str instance, palyra_task_fn done, void* arg) {
    static_cast<RegistryHost*>(ctx)->registry_.drain(view(instance), done, arg);
  };
  table.close = [](void* ctx, palyra_str instance) {
    static_cast<RegistryHost*>(ctx)->close(view(instance));
  };
  return table;
}

}  // namespace palyra::registry
