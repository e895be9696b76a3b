// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/instance_facilities.h"

#include "host/facilities/buffers.h"
#include "host/facilities/random.h"

#include <ctime>

namespace palyra::host {
namespace {

int64_t read_clock(clockid_t clock) {
  timespec time = {};
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::string_view text_of(palyra_str text) {
  return text.ptr == nullptr ? std::string_view() : view(text);
}

}  // namespace

InstanceFacilities::InstanceFacilities(SharedFacilities& shared, std::string instance,
                                       std::string directory, bool parallel,
                                       const palyra_daemon* daemon)
    : shared_(shared),
      instance_(std::move(instance)),
      directory_(std::move(directory)),
      lane_(shared.pool, shared.timers, shared.blocking, parallel,
            [this](const char* what) {
              shared_.log->write(PALYRA_LOG_ERROR, instance_,
                                 std::string("a function on the lane threw: ") + what);
            }),
      daemon_(daemon) {
  using Self = InstanceFacilities;
  host_ = {sizeof(host_), PALYRA_ABI_MINOR, this,
           [](void* ctx, palyra_str id) { return static_cast<Self*>(ctx)->find(text_of(id)); }};
  log_ = {sizeof(log_), 0, this,
          [](void* ctx, uint32_t level) {
            return static_cast<Self*>(ctx)->shared_.log->enabled(level) ? 1u : 0u;
          },
          [](void* ctx, uint32_t level, palyra_str message, const palyra_field* fields,
             uint32_t count) {
            auto* self = static_cast<Self*>(ctx);
            self->shared_.log->write(level, self->instance_, text_of(message), fields,
                                     fields == nullptr ? 0 : count);
          }};
  config_ = {sizeof(config_), 0, this,
             [](void* ctx, palyra_str reference, palyra_buffer** value, palyra_error* error) {
               auto secret = static_cast<Self*>(ctx)->shared_.secrets->resolve(text_of(reference));
               if (!secret) return secret.status().to_abi(error);
               *value = make_buffer(*secret);
               if (*value != nullptr) return palyra_status{PALYRA_OK};
               return Status(Code::kResourceExhausted, "out of memory").to_abi(error);
             }};
  metrics_ = {sizeof(metrics_), 0, this,
              [](void* ctx, uint32_t kind, palyra_str name, palyra_str help,
                 const palyra_field* labels, uint32_t count) {
                auto* self = static_cast<Self*>(ctx);
                Labels all = {{"instance", self->instance_}};
                for (uint32_t i = 0; labels != nullptr && i < count; ++i) {
                  all.emplace_back(text_of(labels[i].name), text_of(labels[i].value));
                }
                return self->shared_.metrics.series(kind, text_of(name), text_of(help),
                                                    std::move(all));
              },
              [](void* ctx, palyra_handle series, double value) {
                static_cast<Self*>(ctx)->shared_.metrics.record(series, value);
              }};
  clock_ = {sizeof(clock_), 0, this, [](void*) { return read_clock(CLOCK_MONOTONIC); },
            [](void*) { return read_clock(CLOCK_REALTIME); }};
  random_ = {sizeof(random_), 0, this,
             [](void*, uint8_t* out, uint64_t size) { fill_random(out, size); }};
  state_ = {sizeof(state_), 0, this,
            [](void* ctx) { return to_str(static_cast<Self*>(ctx)->directory_); }};
}

const void* InstanceFacilities::find(std::string_view id) const {
  if (id == PALYRA_EXECUTOR) return &lane_.table();
  if (id == PALYRA_BUFFER) return &buffer_table();
  if (id == PALYRA_LOG) return &log_;
  if (id == PALYRA_METRICS) return &metrics_;
  if (id == PALYRA_CLOCK) return &clock_;
  if (id == PALYRA_CONFIG) return &config_;
  if (id == PALYRA_RANDOM) return &random_;
  if (id == PALYRA_STATE) return &state_;
  if (id == PALYRA_REGISTRY) return registry_;
  if (id == PALYRA_DAEMON) return daemon_;
  return nullptr;
}

}  // namespace palyra::host
