// The place where a service of an instance is or will be: what clients hold on to, whoever
// publishes there at the moment.
#pragma once

#include "palyra/registry.h"
#include "plugins/gateway/registry/instance.h"
#include "plugins/gateway/registry/stats.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace palyra::registry {

// What a publisher said about its service.
struct PublicationInfo {
  std::string service_id;
  std::string instance;
  uint32_t encodings = 1u << PALYRA_ENCODING_PROTOBUF;
  std::vector<std::pair<std::string, std::string>> labels;
};

// Invariant: a publication that open_call() hands out has had call_started() called on its
// instance, so that drain and close wait for it. Any thread.
class Endpoint {
 public:
  // The publisher's side, as a call needs it.
  struct Target {
    InstancePtr publisher;
    const palyra_service* service = nullptr;
    void* self = nullptr;
    uint32_t encodings = 0;
  };

  Endpoint(std::string service_id, std::string instance)
      : service_id_(std::move(service_id)), instance_(std::move(instance)) {}
  Endpoint(const Endpoint&) = delete;

  const std::string& service_id() const { return service_id_; }
  const std::string& instance() const { return instance_; }

  // False if something is published already.
  bool publish(Target target, std::shared_ptr<const PublicationInfo> info);
  // What was visible and is not any more; null if nothing was.
  std::shared_ptr<const PublicationInfo> withdraw(const Instance* publisher);
  // What became visible; null if nothing did.
  std::shared_ptr<const PublicationInfo> show();
  // As withdraw, but the place stays taken.
  std::shared_ptr<const PublicationInfo> hide();
  std::shared_ptr<const PublicationInfo> visible_info() const;
  bool taken() const;
  // Of the visible publication; 0 if there is none.
  uint32_t encodings() const;

  // False if nothing is visible here. `target` is reused to spare reference counts.
  bool open_call(Target& target);

  ServiceStats stats() const;
  std::atomic<uint64_t> calls{0};
  std::atomic<uint64_t> in_flight{0};
  std::atomic<uint64_t> failures{0};
  std::atomic<uint64_t> faults{0};

  // Leases on this place; guarded by the registry's mutex.
  uint32_t leases = 0;

 private:
  const std::string service_id_;
  const std::string instance_;
  mutable std::mutex mutex_;
  Target target_;
  std::shared_ptr<const PublicationInfo> info_;
  bool visible_ = false;
};

using EndpointPtr = std::shared_ptr<Endpoint>;

}  // namespace palyra::registry
