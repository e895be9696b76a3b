// Plugins, publishers and callers for tests of the registry.
#pragma once

#include "palyra/status.hpp"
#include "plugins/gateway/registry/local_lane.h"
#include "plugins/gateway/registry/registry_host.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace palyra::registry {

// A publisher that remembers what it was asked and answers when told to.
struct FakeService {
  struct Received {
    uint32_t method = 0;
    std::string request, caller, key;
    uint32_t flags = 0, credits = 0;
    palyra_mono_ns deadline = 0;
    palyra_sink sink{};
  };
  std::vector<Received> calls;
  std::vector<std::pair<palyra_handle, uint32_t>> grants;
  std::vector<palyra_handle> cancels;
  palyra_status answer = PALYRA_OK;  // of start
  bool complete_inline = false;      // on_done within start
  palyra_service table{};

  FakeService() {
    table.struct_size = sizeof(table);
    table.start = [](void* self, uint32_t method, palyra_bytes request,
                     const palyra_call_options* options, const palyra_sink* sink, palyra_handle* op,
                     palyra_error* error) -> palyra_status {
      auto& fake = *static_cast<FakeService*>(self);
      Received received;
      received.method = method;
      received.request = view(request);
      received.caller = view(options->caller);
      received.key = view(options->idempotency_key);
      received.flags = options->caller_flags;
      received.credits = options->credits;
      received.deadline = options->deadline;
      received.sink = *sink;
      fake.calls.push_back(received);
      *op = fake.calls.size();
      if (fake.complete_inline) sink->on_done(sink->ctx, PALYRA_OK, nullptr, nullptr);
      if (fake.answer != PALYRA_OK) {
        return Status(static_cast<Code>(fake.answer), "refused by the fake").to_abi(error);
      }
      return PALYRA_OK;
    };
    table.grant = [](void* self, palyra_handle op, uint32_t credits) {
      static_cast<FakeService*>(self)->grants.emplace_back(op, credits);
    };
    table.cancel = [](void* self, palyra_handle op) {
      static_cast<FakeService*>(self)->cancels.push_back(op);
    };
  }
};

// The caller's side of one call.
struct FakeCaller {
  const palyra_buffers* buffers = nullptr;
  std::vector<std::string> items;
  std::vector<Status> done;
  std::vector<std::string> results;
  palyra_handle op = 0;

  palyra_sink sink() {
    palyra_sink sink{};
    sink.struct_size = sizeof(sink);
    sink.ctx = this;
    sink.on_item = [](void* ctx, palyra_buffer* item) {
      auto& caller = *static_cast<FakeCaller*>(ctx);
      EXPECT_TRUE(caller.done.empty()) << "an item after the completion";
      caller.items.push_back(caller.take(item));
    };
    sink.on_done = [](void* ctx, palyra_status status, palyra_buffer* result,
                      const palyra_error* error) {
      auto& caller = *static_cast<FakeCaller*>(ctx);
      caller.done.push_back(Status::from_abi(status, error));
      caller.results.push_back(caller.take(result));
    };
    return sink;
  }
  std::string take(palyra_buffer* buffer) {
    if (buffer == nullptr) return "";
    std::string text(view(buffers->view(buffers->ctx, buffer)));
    buffers->release(buffers->ctx, buffer);
    return text;
  }
  bool finished() const { return !done.empty(); }
};

// One plugin instance with its lane.
struct FakePlugin {
  std::string name;
  LocalLane lane;
  const palyra_registry* table = nullptr;

  Result<palyra_handle> publish(std::string_view id, FakeService& service,
                                const palyra_publish_options* options = nullptr) {
    palyra_handle handle = 0;
    palyra_error error{};
    error.struct_size = sizeof(error);
    const palyra_status status =
        table->publish(table->ctx, to_str(id), &service.table, &service, options, &handle, &error);
    if (status != PALYRA_OK) return Status::from_abi(status, &error);
    return handle;
  }
  Result<palyra_client> acquire(std::string_view id, std::string_view instance = "") {
    palyra_client client{};
    client.struct_size = sizeof(client);
    palyra_error error{};
    error.struct_size = sizeof(error);
    const palyra_status status =
        table->acquire(table->ctx, to_str(id), to_str(instance), &client, &error);
    if (status != PALYRA_OK) return Status::from_abi(status, &error);
    return client;
  }
};

class RegistryFixture : public ::testing::Test {
 protected:
  RegistryFixture() : host_(buffers_.table(), clock_.table()) {}
  ~RegistryFixture() override {
    for (auto& [name, plugin] : plugins_) close(name);
    EXPECT_EQ(buffers_.live(), 0) << "buffers that nobody released";
  }

  struct Options {
    std::string grant;
    bool trusted = true;
    bool hub = false;
    bool active = true;
  };
  // `lists` is the inside of the manifest: R"("provides": [...], "requires": [...])".
  Result<FakePlugin*> try_open(const std::string& name, const std::string& lists, Options options) {
    auto plugin = std::make_unique<FakePlugin>();
    plugin->name = name;
    const std::string manifest = "{\"id\": \"test." + name + "\", " + lists + "}";
    palyra_instance_info info{};
    info.struct_size = sizeof(info);
    info.trusted = options.trusted ? 1 : 0;
    info.instance = to_str(name);
    info.plugin_id = to_str("test.plugin");
    info.manifest = to_str(manifest);
    info.grant = to_str(options.grant);
    info.executor = plugin->lane.table();
    if (options.hub) {
      auto table = host_.open_hub(info);
      if (!table.ok()) return table.status();
      plugin->table = *table;
    } else {
      palyra_error error{};
      error.struct_size = sizeof(error);
      const palyra_registry_host* host = host_.table();
      const palyra_status status = host->open(host->ctx, &info, &plugin->table, &error);
      if (status != PALYRA_OK) return Status::from_abi(status, &error);
      if (options.active) host->activate(host->ctx, to_str(name));
    }
    FakePlugin* out = plugin.get();
    auto& place = plugins_[name];
    if (place) replaced_.push_back(std::move(place));
    place = std::move(plugin);
    return out;
  }
  FakePlugin& open(const std::string& name, const std::string& lists, Options options) {
    auto plugin = try_open(name, lists, std::move(options));
    EXPECT_TRUE(plugin.ok()) << plugin.status().to_string();
    return **plugin;
  }
  FakePlugin& open(const std::string& name, const std::string& lists) {
    return open(name, lists, Options());
  }
  void close(const std::string& name) { host_.table()->close(host_.table()->ctx, to_str(name)); }
  void bind(std::string_view id, std::string_view instance) {
    const palyra_field binding{to_str(id), to_str(instance)};
    host_.table()->bind(host_.table()->ctx, &binding, 1);
  }

  std::unique_ptr<FakeCaller> caller() {
    auto caller = std::make_unique<FakeCaller>();
    caller->buffers = buffers_.table();
    return caller;
  }
  Status call(const palyra_client& client, FakeCaller& caller, uint32_t method = 1,
              std::string_view request = "request", const palyra_call_options* options = nullptr) {
    const palyra_sink sink = caller.sink();
    palyra_error error{};
    error.struct_size = sizeof(error);
    const palyra_status status = client.service->start(client.self, method, to_bytes(request),
                                                       options, &sink, &caller.op, &error);
    return Status::from_abi(status, &error);
  }
  static palyra_call_options options(uint32_t credits) {
    palyra_call_options options{};
    options.struct_size = sizeof(options);
    options.deadline = PALYRA_NO_DEADLINE;
    options.credits = credits;
    return options;
  }
  palyra_buffer* buffer(std::string_view text) {
    uint8_t* data = nullptr;
    palyra_buffer* out = buffers_.table()->alloc(buffers_.table()->ctx, text.size(), &data);
    if (!text.empty()) std::memcpy(data, text.data(), text.size());
    return out;
  }
  void send(const FakeService::Received& to, std::string_view item) {
    to.sink.on_item(to.sink.ctx, buffer(item));
  }
  void finish(const FakeService::Received& to, std::string_view result) {
    to.sink.on_done(to.sink.ctx, PALYRA_OK, buffer(result), nullptr);
  }

  LocalBuffers buffers_;
  LocalClock clock_;
  RegistryHost host_;
  std::map<std::string, std::unique_ptr<FakePlugin>> plugins_;
  std::vector<std::unique_ptr<FakePlugin>> replaced_;  // by a later one of the same name
};

inline const char* const kOffersTool = R"("provides": [{"id": "palyra.tool/1"}])";
inline const char* const kOffersToolAny =
    R"("provides": [{"id": "palyra.tool/1"}], "concurrency": "any")";
inline const char* const kUsesTool = R"("requires": [{"id": "palyra.tool/1"}])";

}  // namespace palyra::registry
