#include "plugins/gateway/registry/endpoint.h"

namespace palyra::registry {

bool Endpoint::publish(Target target, std::shared_ptr<const PublicationInfo> info) {
  std::lock_guard lock(mutex_);
  if (target_.service != nullptr) return false;
  target_ = std::move(target);
  info_ = std::move(info);
  visible_ = false;
  return true;
}

std::shared_ptr<const PublicationInfo> Endpoint::withdraw(const Instance* publisher) {
  std::lock_guard lock(mutex_);
  if (target_.publisher.get() != publisher) return nullptr;
  target_ = Target();
  auto info = std::exchange(info_, nullptr);
  return std::exchange(visible_, false) ? info : nullptr;
}

std::shared_ptr<const PublicationInfo> Endpoint::show() {
  std::lock_guard lock(mutex_);
  if (target_.service == nullptr || visible_) return nullptr;
  visible_ = true;
  return info_;
}

std::shared_ptr<const PublicationInfo> Endpoint::hide() {
  std::lock_guard lock(mutex_);
  return std::exchange(visible_, false) ? info_ : nullptr;
}

std::shared_ptr<const PublicationInfo> Endpoint::visible_info() const {
  std::lock_guard lock(mutex_);
  return visible_ ? info_ : nullptr;
}

bool Endpoint::taken() const {
  std::lock_guard lock(mutex_);
  return target_.service != nullptr;
}

uint32_t Endpoint::encodings() const {
  std::lock_guard lock(mutex_);
  return visible_ ? target_.encodings : 0;
}

bool Endpoint::open_call(Target& target) {
  std::lock_guard lock(mutex_);
  if (!visible_) return false;
  if (target.publisher != target_.publisher) target.publisher = target_.publisher;
  target.service = target_.service;
  target.self = target_.self;
  target.encodings = target_.encodings;
  target.publisher->call_started();
  return true;
}

ServiceStats Endpoint::stats() const {
  ServiceStats stats;
  stats.service_id = service_id_;
  stats.instance = instance_;
  stats.calls = calls.load(std::memory_order_relaxed);
  stats.in_flight = in_flight.load(std::memory_order_relaxed);
  stats.failures = failures.load(std::memory_order_relaxed);
  stats.faults = faults.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace palyra::registry
