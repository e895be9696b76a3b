// What the gateway reports of itself.
#pragma once

#include "palyra/host.hpp"
#include "plugins/gateway/gateway.h"
#include "plugins/gateway/registry/stats.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace palyra::gateway {

// On the gateway's lane, every few seconds.
class GatewayMetrics {
 public:
  explicit GatewayMetrics(const Host& host)
      : host_(host),
        active_(host.gauge("palyra_runs_active", "Runs that are running")),
        waiting_(host.gauge("palyra_runs_waiting", "Runs that wait for something")),
        queued_(host.gauge("palyra_inputs_queued", "Messages behind an active run")),
        faults_(host.gauge("palyra_registry_faults", "Broken rules of services since start")),
        breaches_(host.gauge("palyra_deadline_breaches", "Calls answered DEADLINE_EXCEEDED")) {}

  void report(const Gateway::Load& load, uint64_t faults, uint64_t breaches,
              const std::vector<registry::ServiceStats>& services) {
    active_.set(load.active_runs);
    waiting_.set(load.waiting_runs);
    queued_.set(load.queued_inputs);
    faults_.set(static_cast<double>(faults));
    breaches_.set(static_cast<double>(breaches));
    for (const registry::ServiceStats& stats : services) {
      const auto key = std::make_pair(stats.service_id, stats.instance);
      auto found = services_.find(key);
      if (found == services_.end()) found = services_.emplace(key, make(stats)).first;
      found->second.calls.set(static_cast<double>(stats.calls));
      found->second.in_flight.set(static_cast<double>(stats.in_flight));
      found->second.failures.set(static_cast<double>(stats.failures));
    }
  }

 private:
  struct Service {
    Gauge calls;
    Gauge in_flight;
    Gauge failures;
  };
  Service make(const registry::ServiceStats& stats) const {
    const auto gauge = [&](const char* name, const char* help) {
      return host_.gauge(name, help, {{"service", stats.service_id}, {"at", stats.instance}});
    };
    return {gauge("palyra_service_calls", "Service calls begun"),
            gauge("palyra_service_calls_in_flight", "Service calls not yet completed"),
            gauge("palyra_service_failures", "Service calls that failed")};
  }

  const Host host_;
  Gauge active_;
  Gauge waiting_;
  Gauge queued_;
  Gauge faults_;
  Gauge breaches_;
  std::map<std::pair<std::string, std::string>, Service> services_;
};

}  // namespace palyra::gateway
