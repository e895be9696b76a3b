// SPDX-License-Identifier: Apache-2.0
// FakeHost: every facility in memory. Configure it, then ask for host() or abi().
//
//   FakeHost fake;
//   fake.secrets["env:KEY"] = "s3cret";
//   MyPlugin plugin(fake.host());
//   fake.executor.run_until_idle();
//   EXPECT_EQ(fake.logs.back().message, "ready");
//
// Invariants: it outlives every Host, Buffer and plugin made from it. log, buffers, random and post
// are [any]; the rest belongs to the test's thread.
#pragma once

#include "palyra/host.hpp"
#include "palyra/testing/executor.hpp"

#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace palyra::testing {

struct LogLine {
  uint32_t level;
  std::string message;
  std::map<std::string, std::string> fields;
};

class FakeHost {
 public:
  explicit FakeHost(uint64_t seed = 0)
      : own_executor_(std::make_unique<DeterministicExecutor>(own_clock_, seed)),
        clock(own_clock_),
        executor(*own_executor_),
        random_(seed) {
    fill_tables();
  }
  // Shares time and lane with others, such as a second instance of the same test.
  FakeHost(ManualClock& shared_clock, DeterministicExecutor& shared_executor)
      : clock(shared_clock), executor(shared_executor) {
    fill_tables();
  }
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;

  // A view with state of its own, as an instance gets.
  Host host() { return Host(&abi_); }
  const palyra_host* abi() const { return &abi_; }
  // This host does not have the facility, as an older one.
  void without(const std::string& id) { missing_.insert(id); }
  void set_registry(const palyra_registry* registry) { registry_ = registry; }

  // Buffers not released yet.
  int64_t live_buffers() const { return live_buffers_.load(); }
  // The value of a series: the sum of a counter, the last of a gauge or histogram. `labels` as in
  // "kind=x,model=y".
  double metric(const std::string& name, const std::string& labels = "") const {
    const auto found = series_.find(name + "{" + labels + "}");
    return found == series_.end() ? 0 : metrics_[found->second - 1].value;
  }
  bool logged(std::string_view part) const {
    std::lock_guard lock(mutex_);
    for (const LogLine& line : logs) {
      if (line.message.find(part) != std::string::npos) return true;
    }
    return false;
  }

 private:
  ManualClock own_clock_;
  std::unique_ptr<DeterministicExecutor> own_executor_;

 public:
  ManualClock& clock;
  DeterministicExecutor& executor;
  std::vector<LogLine> logs;
  uint32_t log_level = PALYRA_LOG_DEBUG;
  std::map<std::string, std::string> secrets;       // "env:KEY" -> value
  std::map<std::string, std::string> descriptions;  // of palyra.daemon/1
  std::string directory;
  int ready_calls = 0;
  int stop_requests = 0;

 private:
  struct Metric {
    uint32_t kind;
    double value;
  };
  struct FakeBuffer {
    std::atomic<int64_t> references{1};
    uint64_t size = 0;
    std::vector<uint8_t> data;
  };
  struct Task {
    palyra_task_fn fn;
    void* arg;
    void operator()() const { fn(arg); }
  };

  static FakeHost& self(void* ctx) { return *static_cast<FakeHost*>(ctx); }
  static FakeBuffer* own(palyra_buffer* b) { return reinterpret_cast<FakeBuffer*>(b); }
  palyra_buffer* make_buffer(std::string_view text) {
    uint8_t* data = nullptr;
    palyra_buffer* buffer = buffers_.alloc(this, text.size(), &data);
    if (!text.empty()) std::memcpy(data, text.data(), text.size());
    return buffer;
  }
  static palyra_status look_up(FakeHost& host, const std::map<std::string, std::string>& table,
                               palyra_str key, palyra_buffer** out, palyra_error* error) {
    const auto found = table.find(std::string(view(key)));
    if (found == table.end()) {
      return Status(Code::kNotFound, "nothing is set for " + std::string(view(key))).to_abi(error);
    }
    *out = host.make_buffer(found->second);
    return PALYRA_OK;
  }

  void fill_tables() {
    abi_ = {sizeof(palyra_host), PALYRA_ABI_MINOR, this,
            [](void* ctx, palyra_str id) { return self(ctx).facility(view(id)); }};
    log_ = {sizeof(palyra_log), 0, this,
            [](void* ctx, uint32_t level) -> uint32_t { return level >= self(ctx).log_level; },
            [](void* ctx, uint32_t level, palyra_str message, const palyra_field* fields,
               uint32_t count) {
              LogLine line{level, std::string(view(message)), {}};
              for (uint32_t i = 0; i < count; ++i) {
                line.fields.emplace(view(fields[i].name), view(fields[i].value));
              }
              std::lock_guard lock(self(ctx).mutex_);
              self(ctx).logs.push_back(std::move(line));
            }};
    config_ = {sizeof(palyra_config), 0, this,
               [](void* ctx, palyra_str reference, palyra_buffer** value, palyra_error* error) {
                 return look_up(self(ctx), self(ctx).secrets, reference, value, error);
               }};
    clock_ = {sizeof(palyra_clock), 0, this,
              [](void* ctx) -> palyra_mono_ns { return self(ctx).clock.mono_now(); },
              [](void* ctx) { return self(ctx).clock.wall_now(); }};
    random_table_ = {sizeof(palyra_random), 0, this, [](void* ctx, uint8_t* out, uint64_t size) {
                       std::lock_guard lock(self(ctx).mutex_);
                       for (uint64_t i = 0; i < size; ++i) {
                         out[i] = static_cast<uint8_t>(self(ctx).random_());
                       }
                     }};
    executor_ = {sizeof(palyra_executor),
                 0,
                 this,
                 [](void* ctx, palyra_task_fn fn, void* arg) {
                   self(ctx).executor.post(Task{fn, arg});
                 },
                 [](void* ctx, palyra_mono_ns when, palyra_task_fn fn, void* arg) -> palyra_handle {
                   return self(ctx).executor.post_at(when, Task{fn, arg});
                 },
                 [](void* ctx, palyra_handle timer) -> uint32_t {
                   return self(ctx).executor.cancel(timer) ? 1 : 0;
                 },
                 [](void* ctx, palyra_task_fn fn, void* arg) {
                   self(ctx).executor.post_blocking(Task{fn, arg});
                 }};
    buffers_ = {sizeof(palyra_buffers),
                0,
                this,
                [](void* ctx, uint64_t size, uint8_t** data) {
                  auto* buffer = new FakeBuffer;
                  buffer->data.resize(size);
                  buffer->size = size;
                  if (data != nullptr) *data = buffer->data.data();
                  ++self(ctx).live_buffers_;
                  return reinterpret_cast<palyra_buffer*>(buffer);
                },
                [](void*, palyra_buffer* buffer, uint64_t size) { own(buffer)->size = size; },
                [](void*, const palyra_buffer* buffer) -> palyra_bytes {
                  const auto* own_buffer = reinterpret_cast<const FakeBuffer*>(buffer);
                  return {own_buffer->data.data(), own_buffer->size};
                },
                [](void*, palyra_buffer* buffer) { ++own(buffer)->references; },
                [](void* ctx, palyra_buffer* buffer) {
                  if (buffer == nullptr || --own(buffer)->references > 0) return;
                  delete own(buffer);
                  --self(ctx).live_buffers_;
                }};
    metrics_table_ = {
        sizeof(palyra_metrics), 0, this,
        [](void* ctx, uint32_t kind, palyra_str name, palyra_str, const palyra_field* labels,
           uint32_t count) { return self(ctx).series(kind, view(name), labels, count); },
        [](void* ctx, palyra_handle handle, double value) {
          Metric& metric = self(ctx).metrics_[handle - 1];
          metric.value = metric.kind == PALYRA_METRIC_COUNTER ? metric.value + value : value;
        }};
    state_ = {sizeof(palyra_state), 0, this, [](void* ctx) { return to_str(self(ctx).directory); }};
    daemon_ = {sizeof(palyra_daemon),
               0,
               this,
               [](void* ctx, palyra_str what, palyra_buffer** json, palyra_error* error) {
                 return look_up(self(ctx), self(ctx).descriptions, what, json, error);
               },
               [](void* ctx) { ++self(ctx).ready_calls; },
               [](void* ctx) { ++self(ctx).stop_requests; }};
  }

  palyra_handle series(uint32_t kind, std::string_view name, const palyra_field* labels,
                       uint32_t count) {
    std::string key(name);
    key += "{";
    for (uint32_t i = 0; i < count; ++i) {
      if (i > 0) key += ",";
      key += std::string(view(labels[i].name)) + "=" + std::string(view(labels[i].value));
    }
    key += "}";
    const auto [entry, added] = series_.emplace(key, metrics_.size() + 1);
    if (added) metrics_.push_back({kind, 0});
    return metrics_[entry->second - 1].kind == kind ? entry->second : 0;
  }

  const void* facility(std::string_view id) const {
    if (missing_.count(std::string(id)) > 0) return nullptr;
    if (id == PALYRA_LOG) return &log_;
    if (id == PALYRA_CONFIG) return &config_;
    if (id == PALYRA_CLOCK) return &clock_;
    if (id == PALYRA_RANDOM) return &random_table_;
    if (id == PALYRA_EXECUTOR) return &executor_;
    if (id == PALYRA_BUFFER) return &buffers_;
    if (id == PALYRA_METRICS) return &metrics_table_;
    if (id == PALYRA_STATE) return &state_;
    if (id == PALYRA_DAEMON) return &daemon_;
    if (id == PALYRA_REGISTRY) return registry_;
    return nullptr;
  }

  mutable std::mutex mutex_;  // logs, random_
  std::mt19937_64 random_;
  std::set<std::string> missing_;
  std::map<std::string, palyra_handle> series_;
  std::vector<Metric> metrics_;
  std::atomic<int64_t> live_buffers_{0};
  const palyra_registry* registry_ = nullptr;
  palyra_host abi_;
  palyra_log log_;
  palyra_config config_;
  palyra_clock clock_;
  palyra_random random_table_;
  palyra_executor executor_;
  palyra_buffers buffers_;
  palyra_metrics metrics_table_;
  palyra_state state_;
  palyra_daemon daemon_;
};

}  // namespace palyra::testing
