// The registry behind its C tables: palyra.registry_host/1 for the host, palyra.registry/1 for each
// instance.
#pragma once

#include "palyra/registry.h"
#include "plugins/gateway/registry/registry.h"

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace palyra::registry {

// Each instance's table stays in memory after close, so that a plugin that still calls it (from its
// destructors, say) is refused rather than lost; the oldest of many are freed. Any thread.
class RegistryHost {
 public:
  // Both tables must outlive this.
  RegistryHost(const palyra_buffers* buffers, const palyra_clock* clock);
  ~RegistryHost();
  RegistryHost(const RegistryHost&) = delete;

  const palyra_registry_host* table() const { return &table_; }
  Registry& registry() { return registry_; }

  // The gateway's own table: calls made through it carry PALYRA_CALLER_HUB.
  Result<const palyra_registry*> open_hub(const palyra_instance_info& info);
  void close(std::string_view instance);

 private:
  struct Table;
  Result<const palyra_registry*> open(const palyra_instance_info& info, Registry::Role role);
  static palyra_registry_host make_table(RegistryHost* self);

  static constexpr size_t kKeptTables = 256;

  Registry registry_;
  const palyra_registry_host table_;
  std::mutex mutex_;  // guards the two below
  std::map<std::string, std::unique_ptr<Table>, std::less<>> open_;
  std::deque<std::unique_ptr<Table>> closed_;
};

}  // namespace palyra::registry
