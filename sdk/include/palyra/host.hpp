// SPDX-License-Identifier: Apache-2.0
// Host: what a plugin instance is given, as C++. A copyable view; copies share the same state.
//
// Invariants: valid from the plugin's create until its destroy returns; the last copy is dropped by
// then. Facilities that this host does not have are NULL: logging and metrics then do nothing, time
// and randomness come from the operating system, the rest answers with a Status. log, metrics,
// clock, random, executor and buffers: [any]. Everything that touches coroutines, clients or
// services: lane.
#pragma once

#include "palyra/abi.h"
#include "palyra/buffer.h"
#include "palyra/buffer.hpp"
#include "palyra/clock.h"
#include "palyra/config.h"
#include "palyra/daemon.h"
#include "palyra/executor.h"
#include "palyra/executor.hpp"
#include "palyra/log.h"
#include "palyra/metrics.h"
#include "palyra/metrics.hpp"
#include "palyra/random.h"
#include "palyra/registry.h"
#include "palyra/state.h"
#include "palyra/status.hpp"
#include "palyra/task.hpp"
#include "palyra/world.hpp"

#include <chrono>
#include <deque>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace palyra {

// palyra.clock/1.
class HostClock final : public Clock {
 public:
  explicit HostClock(const palyra_clock* table) : table_(table) {}
  int64_t mono_now() const override {
    if (table_ != nullptr) return table_->mono_now(table_->ctx);
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  int64_t wall_now() const override {
    if (table_ != nullptr) return table_->wall_now(table_->ctx);
    return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
  }

 private:
  const palyra_clock* table_;
};

// palyra.random/1.
class HostRandom final : public Random {
 public:
  explicit HostRandom(const palyra_random* table) : table_(table) {}
  void fill(void* out, size_t size) override {
    auto* bytes = static_cast<uint8_t*>(out);
    if (table_ != nullptr) return table_->fill(table_->ctx, bytes, size);
    std::random_device device;
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(device());
  }

 private:
  const palyra_random* table_;
};

// A log field; the value of a number is its decimal form.
struct Field {
  Field(std::string_view n, std::string_view text) : name(n), value(text) {}
  Field(std::string_view n, const char* text) : name(n), value(text) {}
  Field(std::string_view n, const std::string& text) : name(n), value(text) {}
  Field(std::string_view n, bool flag) : name(n), value(flag ? "true" : "false") {}
  template <typename N, typename = std::enable_if_t<std::is_arithmetic_v<N>>>
  Field(std::string_view n, N number) : name(n), value(std::to_string(number)) {}

  std::string_view name;
  std::string value;
};

namespace detail {

// Something that must end with the instance although others still point to it.
class Stoppable {
 public:
  virtual ~Stoppable() = default;
  virtual void on_stop() = 0;
};

// A call in flight as its caller: freed with the instance if its completion never came.
struct InFlight {
  virtual ~InFlight() = default;
  virtual void abandoned_by_host() = 0;
  InFlight* previous = nullptr;
  InFlight* next = nullptr;
};

// The address of a facility's table if the host has it at the size this SDK knows.
template <typename T>
const T* facility(const palyra_host* host, const char* id) {
  if (host == nullptr || host->facility == nullptr) return nullptr;
  const auto* table = static_cast<const T*>(host->facility(host->ctx, to_str(id)));
  return table != nullptr && table->struct_size >= sizeof(T) ? table : nullptr;
}

struct HostState {
  explicit HostState(const palyra_host* h)
      : host(h),
        log(facility<palyra_log>(h, PALYRA_LOG)),
        config(facility<palyra_config>(h, PALYRA_CONFIG)),
        metrics(facility<palyra_metrics>(h, PALYRA_METRICS)),
        buffers(facility<palyra_buffers>(h, PALYRA_BUFFER)),
        state(facility<palyra_state>(h, PALYRA_STATE)),
        registry(facility<palyra_registry>(h, PALYRA_REGISTRY)),
        daemon(facility<palyra_daemon>(h, PALYRA_DAEMON)),
        clock(facility<palyra_clock>(h, PALYRA_CLOCK)),
        random(facility<palyra_random>(h, PALYRA_RANDOM)),
        executor(facility<palyra_executor>(h, PALYRA_EXECUTOR)) {
    executor.on_exception([this](const char* what) {
      if (log == nullptr) return;
      const palyra_field field{to_str("what"), to_str(what)};
      log->write(log->ctx, PALYRA_LOG_ERROR, to_str("a posted function threw an exception"), &field,
                 1);
    });
  }
  HostState(const HostState&) = delete;
  HostState& operator=(const HostState&) = delete;
  ~HostState() {
    stop();
    while (in_flight != nullptr) {
      InFlight* call = in_flight;
      forget(call);
      call->abandoned_by_host();
    }
  }

  // After the plugin's stop: nothing suspended, nothing queued. The registry's table may be gone
  // before destroy, so it is not touched any more.
  void stop() {
    for (Stoppable* service : std::vector<Stoppable*>(stoppables)) service->on_stop();
    tasks.clear();
    executor.discard();
    registry = nullptr;
  }
  void remember(InFlight* call) {
    call->next = in_flight;
    if (in_flight != nullptr) in_flight->previous = call;
    in_flight = call;
  }
  void forget(InFlight* call) {
    (call->previous != nullptr ? call->previous->next : in_flight) = call->next;
    if (call->next != nullptr) call->next->previous = call->previous;
    call->previous = call->next = nullptr;
  }

  const palyra_host* host;
  const palyra_log* log;
  const palyra_config* config;
  const palyra_metrics* metrics;
  const palyra_buffers* buffers;
  const palyra_state* state;
  const palyra_registry* registry;
  const palyra_daemon* daemon;
  HostClock clock;
  HostRandom random;
  HostExecutor executor;
  TaskScope tasks;
  std::vector<Stoppable*> stoppables;
  InFlight* in_flight = nullptr;
};

}  // namespace detail

class Host {
 public:
  Host() = default;
  explicit Host(const palyra_host* host) : state_(std::make_shared<detail::HostState>(host)) {}
  explicit operator bool() const { return state_ != nullptr; }

  // FAILED_PRECONDITION if this host lacks what no plugin can do without: executor and buffers.
  Status check() const {
    if (!state_->executor.available()) return missing(PALYRA_EXECUTOR);
    if (state_->buffers == nullptr) return missing(PALYRA_BUFFER);
    return {};
  }

  // ---- the world
  Clock& clock() const { return state_->clock; }
  Random& random() const { return state_->random; }
  Executor& executor() const { return state_->executor; }
  // Starts a task that belongs to the instance: if it is still suspended after stop, it is
  // destroyed.
  void spawn(Task<void> task) const { state_->tasks.spawn(std::move(task)); }
  TaskScope& tasks() const { return state_->tasks; }

  // ---- log. Never a secret, neither in message nor fields.
  bool log_enabled(uint32_t level) const {
    return state_->log != nullptr && state_->log->enabled(state_->log->ctx, level) != 0;
  }
  void log(uint32_t level, std::string_view message,
           std::initializer_list<Field> fields = {}) const {
    if (!log_enabled(level)) return;
    constexpr size_t kMost = 32;
    palyra_field table[kMost];
    uint32_t count = 0;
    for (const Field& field : fields) {
      if (count == kMost) break;
      table[count++] = {to_str(field.name), to_str(field.value)};
    }
    state_->log->write(state_->log->ctx, level, to_str(message), table, count);
  }
  void debug(std::string_view message, std::initializer_list<Field> fields = {}) const {
    log(PALYRA_LOG_DEBUG, message, fields);
  }
  void info(std::string_view message, std::initializer_list<Field> fields = {}) const {
    log(PALYRA_LOG_INFO, message, fields);
  }
  void warn(std::string_view message, std::initializer_list<Field> fields = {}) const {
    log(PALYRA_LOG_WARN, message, fields);
  }
  void error(std::string_view message, std::initializer_list<Field> fields = {}) const {
    log(PALYRA_LOG_ERROR, message, fields);
  }

  // ---- metrics. Ask once, keep the handle.
  Counter counter(std::string_view name, std::string_view help,
                  std::initializer_list<Field> labels = {}) const {
    return Counter(series(PALYRA_METRIC_COUNTER, name, help, labels));
  }
  Gauge gauge(std::string_view name, std::string_view help,
              std::initializer_list<Field> labels = {}) const {
    return Gauge(series(PALYRA_METRIC_GAUGE, name, help, labels));
  }
  Histogram histogram(std::string_view name, std::string_view help,
                      std::initializer_list<Field> labels = {}) const {
    return Histogram(series(PALYRA_METRIC_HISTOGRAM, name, help, labels));
  }

  // ---- buffers. Empty (false) when memory is out or the host has no buffers.
  Buffer alloc(size_t size) const { return Buffer::alloc(state_->buffers, size); }
  Buffer copy(std::string_view data) const { return Buffer::copy(state_->buffers, data); }
  const palyra_buffers* buffers() const { return state_->buffers; }

  // ---- the rest
  // The instance's own directory; empty if this host gives none.
  std::string state_directory() const {
    if (state_->state == nullptr) return {};
    return std::string(view(state_->state->directory(state_->state->ctx)));
  }
  // The secret that "env:NAME" or "file:PATH" names. May block. [any]
  Result<std::string> resolve_secret(std::string_view reference) const {
    if (state_->config == nullptr) return missing(PALYRA_CONFIG);
    palyra_error error = make_error();
    palyra_buffer* value = nullptr;
    const palyra_status code =
        state_->config->resolve_secret(state_->config->ctx, to_str(reference), &value, &error);
    Buffer buffer(state_->buffers, value);
    if (code != PALYRA_OK) return Status::from_abi(code, &error);
    return std::string(buffer.view());
  }
  // Null for the instance that provides the registry, until it sets its own.
  const palyra_registry* registry() const { return state_->registry; }
  void set_registry(const palyra_registry* registry) const { state_->registry = registry; }
  // Only for the instance that provides the registry; otherwise null.
  const palyra_daemon* daemon() const { return state_->daemon; }
  // A JSON document of palyra.daemon/1. [any]
  Result<std::string> describe_daemon(std::string_view what) const {
    if (state_->daemon == nullptr) return missing(PALYRA_DAEMON);
    palyra_error error = make_error();
    palyra_buffer* json = nullptr;
    const palyra_status code =
        state_->daemon->describe(state_->daemon->ctx, to_str(what), &json, &error);
    Buffer buffer(state_->buffers, json);
    if (code != PALYRA_OK) return Status::from_abi(code, &error);
    return std::string(buffer.view());
  }
  const palyra_host* abi() const { return state_->host; }
  detail::HostState* state() const { return state_.get(); }

  static Status missing(std::string_view id) {
    return {Code::kFailedPrecondition,
            "this host has no " + std::string(id) + ": a newer host is needed"};
  }

 private:
  detail::Series series(uint32_t kind, std::string_view name, std::string_view help,
                        std::initializer_list<Field> labels) const {
    if (state_->metrics == nullptr) return {};
    std::vector<palyra_field> table;
    for (const Field& label : labels) table.push_back({to_str(label.name), to_str(label.value)});
    return {state_->metrics,
            state_->metrics->series(state_->metrics->ctx, kind, to_str(name), to_str(help),
                                    table.data(), static_cast<uint32_t>(table.size()))};
  }

  std::shared_ptr<detail::HostState> state_;
};

}  // namespace palyra
