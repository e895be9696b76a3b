// SPDX-License-Identifier: Apache-2.0
#include "host/lifecycle/supervisor.h"

#include "host/facilities/buffers.h"
#include "host/facilities/sd_notify.h"
#include "host/lifecycle/state_dir.h"

namespace palyra::host {

using std::chrono::steady_clock;

Supervisor::Supervisor(const Settings& settings, Blueprint blueprint, SharedFacilities& shared,
                       std::string notify_socket, steady_clock::time_point began)
    : settings_(settings),
      blueprint_(std::move(blueprint)),
      shared_(shared),
      notify_socket_(std::move(notify_socket)),
      began_(began) {
  make_table();
  for (const auto& candidate : blueprint_.candidates) {
    if (candidate.settings.enabled && !candidate.faults.empty()) {
      std::string reason;
      for (const auto& fault : candidate.faults) reason += (reason.empty() ? "" : " | ") + fault;
      set_status(candidate.settings.name, "quarantined", std::move(reason));
    } else {
      set_status(candidate.settings.name, "found", candidate.settings.enabled ? "" : "disabled");
    }
  }
}

std::shared_ptr<Instance> Supervisor::make_instance(const Candidate& candidate,
                                                    const palyra_daemon* daemon) {
  const auto directory = settings_.state_dir / candidate.settings.name;
  if (const Status made = make_private_dir(directory); !made.ok()) {
    quarantine(candidate.settings.name, made, daemon != nullptr);
    return nullptr;
  }
  return std::make_shared<Instance>(candidate, shared_, directory.string(), daemon,
                                    settings_.step_timeout);
}

Status Supervisor::start() {
  for (const auto& warning : blueprint_.warnings) shared_.log->warn(warning);
  for (const auto& candidate : blueprint_.candidates) {
    if (!candidate.settings.enabled) continue;
    for (const auto& fault : candidate.faults) {
      shared_.log->error("instance '" + candidate.settings.name + "' is quarantined: " + fault);
    }
  }
  if (Status status = start_hub(); !status.ok()) return status;
  for (const auto& name : blueprint_.order) {
    if (stop_requested()) break;
    start_one(name);
  }
  {
    const std::lock_guard lock(mutex_);
    started_ = true;
  }
  announce_if_ready();
  return {};
}

Status Supervisor::start_hub() {
  const Candidate* candidate = blueprint_.find(blueprint_.hub);
  if (candidate == nullptr) {
    return {
        Code::kNotFound,
        "no enabled instance provides palyra.registry/1, so plugins cannot find each other; add "
        "[plugins.gateway] with use = \"dev.palyra.gateway\""};
  }
  if (!candidate->faults.empty()) {
    return {Code::kFailedPrecondition,
            "instance '" + blueprint_.hub +
                "' is the hub and is quarantined: " + candidate->faults.front()};
  }
  auto instance = make_instance(*candidate, &table_);
  if (instance == nullptr) {
    return {Code::kPermissionDenied, "the hub has no directory of its own"};
  }
  Status status = instance->prepare(nullptr);
  if (status.ok()) {
    registry_ = static_cast<const palyra_registry_host*>(instance->query(PALYRA_REGISTRY_HOST));
    if (registry_ == nullptr) {
      status = {Code::kFailedPrecondition,
                "instance '" + blueprint_.hub + "' offers no " PALYRA_REGISTRY_HOST};
    }
  }
  if (status.ok()) {
    std::vector<palyra_field> bindings;
    for (const auto& [service, name] : settings_.services) {
      bindings.push_back({to_str(service), to_str(name)});
    }
    registry_->bind(registry_->ctx, bindings.data(), static_cast<uint32_t>(bindings.size()));
    status = instance->start();
  }
  if (!status.ok()) {
    quarantine(blueprint_.hub, status, true);
    discard(instance);
    return status;
  }
  hub_ = std::move(instance);
  set_status(blueprint_.hub, "active");
  return {};
}

void Supervisor::start_one(const std::string& name) {
  auto instance = make_instance(*blueprint_.find(name), nullptr);
  if (instance == nullptr) return;
  Status status = instance->prepare(registry_);
  if (status.ok()) status = instance->start();
  if (!status.ok()) {
    quarantine(name, status, false);
    discard(instance);
    return;
  }
  instance->activate();
  active_.push_back(std::move(instance));
  set_status(name, "active");
}

void Supervisor::quarantine(const std::string& name, const Status& why, bool is_hub) {
  set_status(name, "quarantined", why.message());
  shared_.log->error("instance '" + name + "' is quarantined" + (is_hub ? "" : ", the rest runs") +
                     ": " + why.message());
}

void Supervisor::discard(const std::shared_ptr<Instance>& instance) {
  if (const Status status = instance->stop(); !status.ok() && !instance->abandoned()) {
    shared_.log->warn(status.message());
  }
  instance->finish();
  abandoned_ = abandoned_ || instance->abandoned();
}

void Supervisor::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stop_requested_; });
}

void Supervisor::stop() {
  const auto began = steady_clock::now();
  shared_.log->info("stopping; what is in flight has " +
                    std::to_string(settings_.drain.count() / 1000) + " s to finish");
  sd_notify(notify_socket_, "STOPPING=1");
  const palyra_mono_ns deadline =
      std::chrono::nanoseconds((began + settings_.drain).time_since_epoch()).count();
  // The hub ends first, while the journal and the providers that it uses still run; its registry
  // serves until the last of the others is gone.
  const auto end = [&](Instance& instance) {
    const Status drained = instance.drain(deadline);
    // Out of time, or hanging.
    if (!drained.ok() && !instance.abandoned()) shared_.log->warn(drained.message());
    if (instance.abandoned()) shared_.log->error(drained.message());
    const Status stopped = instance.stop();
    if (!stopped.ok()) shared_.log->error(stopped.message());
    return stopped.ok() ? drained : stopped;
  };
  if (hub_ != nullptr) (void)end(*hub_);
  while (!active_.empty()) {
    const auto instance = std::move(active_.back());
    active_.pop_back();
    const Status status = end(*instance);
    set_status(instance->name(), "stopped", status.message());
    instance->finish();
    abandoned_ = abandoned_ || instance->abandoned();
  }
  if (hub_ != nullptr) {
    hub_->finish();
    abandoned_ = abandoned_ || hub_->abandoned();
    hub_.reset();
  }
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - began);
  shared_.log->info("stopped in " + std::to_string(took.count()) + " ms");
}

void Supervisor::request_stop() {
  const std::lock_guard lock(mutex_);
  stop_requested_ = true;
  changed_.notify_all();
}

bool Supervisor::stop_requested() const {
  const std::lock_guard lock(mutex_);
  return stop_requested_;
}

void Supervisor::ready() {
  {
    const std::lock_guard lock(mutex_);
    hub_ready_ = true;
  }
  announce_if_ready();
}

void Supervisor::announce_if_ready() {
  size_t active = 0;
  size_t quarantined = 0;
  std::string names;
  {
    const std::lock_guard lock(mutex_);
    if (!hub_ready_ || !started_ || announced_) return;
    announced_ = true;
    for (const auto& [name, status] : statuses_) {
      active += status.state == "active" ? 1 : 0;
      if (status.state != "quarantined") continue;
      ++quarantined;
      names += ' ' + name;
    }
  }
  const auto took =
      std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - began_);
  std::string line = "ready in " + std::to_string(took.count() / 1000) + '.' +
                     std::to_string(took.count() / 100 % 10) + " ms: " + std::to_string(active) +
                     " plugins active";
  if (quarantined > 0) line += ", " + std::to_string(quarantined) + " quarantined";
  shared_.log->info(line);
  // The status is for whoever reads no log: systemctl status, palyra daemon start.
  sd_notify(notify_socket_, quarantined == 0 ? "READY=1" : "READY=1\nSTATUS=quarantined:" + names);
}

void Supervisor::set_status(const std::string& name, std::string state, std::string reason) {
  const std::lock_guard lock(mutex_);
  statuses_[name] = {std::move(state), std::move(reason)};
}

void Supervisor::make_table() {
  table_.struct_size = sizeof(table_);
  table_.minor = 0;
  table_.ctx = this;
  table_.describe = [](void* ctx, palyra_str what, palyra_buffer** json, palyra_error* error) {
    auto document = static_cast<Supervisor*>(ctx)->describe(view(what));
    if (!document) return document.status().to_abi(error);
    *json = make_buffer(*document);
    if (*json != nullptr) return palyra_status{PALYRA_OK};
    return Status(Code::kResourceExhausted, "out of memory").to_abi(error);
  };
  table_.ready = [](void* ctx) { static_cast<Supervisor*>(ctx)->ready(); };
  table_.request_stop = [](void* ctx) { static_cast<Supervisor*>(ctx)->request_stop(); };
}

}  // namespace palyra::host
