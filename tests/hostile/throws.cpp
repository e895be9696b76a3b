// SPDX-License-Identifier: Apache-2.0
// Lets exceptions cross the border, which rule 7 of the ABI forbids.
#include "palyra/executor.h"
#include "palyra/manifest.h"
#include "palyra/status.hpp"

#include <stdexcept>

namespace {

palyra_status create(const palyra_host* host, void** self, palyra_error*) {
  *self = const_cast<palyra_host*>(host);
  return PALYRA_OK;
}
palyra_status init(void*, palyra_str, palyra_error*) {
#ifndef THROW_ON_LANE
  throw std::runtime_error("thrown by init");
#else
  return PALYRA_OK;
#endif
}
palyra_status start(void* self, palyra_error*) {
  const auto* host = static_cast<const palyra_host*>(self);
  const auto* executor = static_cast<const palyra_executor*>(
      host->facility(host->ctx, palyra::to_str(PALYRA_EXECUTOR)));
  executor->post(
      executor->ctx, [](void*) { throw std::runtime_error("thrown on the lane"); }, nullptr);
  return PALYRA_OK;
}
palyra_status drain(void*, palyra_mono_ns, palyra_error*) { return PALYRA_OK; }
void stop(void*) {}
void destroy(void*) {}

}  // namespace

extern "C" PALYRA_EXPORT const palyra_plugin* palyra_plugin_entry(void) {
  static const palyra_plugin plugin = {sizeof(palyra_plugin),
                                       PALYRA_ABI_MAJOR,
                                       PALYRA_ABI_MINOR,
                                       palyra_manifest_json,
                                       create,
                                       init,
                                       start,
                                       drain,
                                       stop,
                                       destroy,
                                       nullptr};
  return &plugin;
}
