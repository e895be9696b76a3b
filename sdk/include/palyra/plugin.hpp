// SPDX-License-Identifier: Apache-2.0
// Plugin: the lifecycle as a class. One source file of a plugin says
//
//   class Echo : public palyra::Plugin { using Plugin::Plugin; ... };
//   PALYRA_PLUGIN(Echo)
//
// which defines palyra_plugin_entry and the descriptor around the manifest that palyra_add_plugin()
// embeds. A step that throws returns INTERNAL. After stop, what is still suspended in Host::spawn()
// or in a service's handler is destroyed, calls end UNAVAILABLE, and posted functions are dropped:
// keep tasks in Host::spawn() or a TaskScope of your own, never in the free spawn(), unless they
// are certain to end.
#pragma once

#include "palyra/host.hpp"
#include "palyra/manifest.h"

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace palyra {

class Plugin {
 public:
  // No I/O, no threads.
  explicit Plugin(Host host) : host_(std::move(host)) {}
  virtual ~Plugin() = default;
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  // The configuration, a JSON object valid against the manifest's schema. Publish services here.
  virtual Status init(std::string_view config_json) = 0;
  virtual Status start() { return {}; }
  // Finish what is in flight until `deadline_ns` (monotonic). May return before.
  virtual Status drain(int64_t /*deadline_ns*/) { return {}; }
  // Close everything, join own threads. Also called after a failed init or start.
  virtual void stop() {}
  // An interface offered to the host itself, or null.
  virtual const void* query(std::string_view /*id*/) { return nullptr; }

  const Host& host() const { return host_; }

 private:
  const Host host_;
};

namespace detail {

struct Instance {
  Host host;  // outlives the plugin
  std::unique_ptr<Plugin> plugin;
};

// Runs a step; an exception becomes INTERNAL.
template <typename F>
palyra_status guarded(const char* step, palyra_error* error, F body) noexcept {
  try {
    return body().to_abi(error);
  } catch (const std::exception& e) {
    return Status(Code::kInternal, std::string(step) + " failed: " + e.what()).to_abi(error);
  } catch (...) {
    return Status(Code::kInternal, std::string(step) + " failed").to_abi(error);
  }
}

template <typename P>
struct Descriptor {
  static palyra_status create(const palyra_host* host, void** self, palyra_error* error) noexcept {
    return guarded("create", error, [&]() -> Status {
      auto instance = std::make_unique<Instance>();
      instance->host = Host(host);
      if (Status bad = instance->host.check(); !bad.ok()) return bad;
      instance->plugin = std::make_unique<P>(instance->host);
      *self = instance.release();
      return {};
    });
  }
  static Plugin& plugin(void* self) { return *static_cast<Instance*>(self)->plugin; }
  static palyra_status init(void* self, palyra_str config, palyra_error* error) noexcept {
    return guarded("init", error, [&] { return plugin(self).init(view(config)); });
  }
  static palyra_status start(void* self, palyra_error* error) noexcept {
    return guarded("start", error, [&] { return plugin(self).start(); });
  }
  static palyra_status drain(void* self, palyra_mono_ns deadline, palyra_error* error) noexcept {
    return guarded("drain", error, [&] { return plugin(self).drain(deadline); });
  }
  static void stop(void* self) noexcept {
    (void)guarded("stop", nullptr, [&]() -> Status {
      plugin(self).stop();
      return {};
    });
    (void)guarded("stop", nullptr, [&]() -> Status {
      static_cast<Instance*>(self)->host.state()->stop();
      return {};
    });
  }
  static void destroy(void* self) noexcept { delete static_cast<Instance*>(self); }
  static const void* query(void* self, palyra_str id) noexcept {
    try {
      return plugin(self).query(view(id));
    } catch (...) {
      return nullptr;
    }
  }
  static const palyra_plugin* get(palyra_str manifest) {
    static const palyra_plugin kDescriptor = {sizeof(palyra_plugin),
                                              PALYRA_ABI_MAJOR,
                                              PALYRA_ABI_MINOR,
                                              manifest,
                                              &create,
                                              &init,
                                              &start,
                                              &drain,
                                              &stop,
                                              &destroy,
                                              &query};
    return &kDescriptor;
  }
};

}  // namespace detail
}  // namespace palyra

#define PALYRA_PLUGIN(Class)                                                \
  extern "C" PALYRA_EXPORT const palyra_plugin* palyra_plugin_entry(void) { \
    return ::palyra::detail::Descriptor<Class>::get(palyra_manifest_json);  \
  }
