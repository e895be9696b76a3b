#include "plugins/gateway/registry/watch.h"

#include "plugins/gateway/registry/registry_fixture.h"

namespace palyra::registry {
namespace {

class WatchTest : public RegistryFixture {
 protected:
  struct Log {
    std::vector<std::string> lines;
    static void on_change(void* ctx, uint32_t event, const palyra_publication* publication) {
      std::string line = event == PALYRA_WATCH_ADDED ? "+" : "-";
      line += view(publication->instance);
      for (uint32_t i = 0; i < publication->label_count; ++i) {
        line += " " + std::string(view(publication->labels[i].name)) + "=" +
                std::string(view(publication->labels[i].value));
      }
      if (publication->encodings == (1u << PALYRA_ENCODING_JSON)) line += " json";
      static_cast<Log*>(ctx)->lines.push_back(line);
    }
  };
  palyra_handle watch(FakePlugin& plugin, Log& log) {
    palyra_watch_sink sink{};
    sink.struct_size = sizeof(sink);
    sink.ctx = &log;
    sink.on_change = &Log::on_change;
    palyra_handle handle = 0;
    EXPECT_EQ(
        plugin.table->watch(plugin.table->ctx, to_str("palyra.tool/1"), &sink, &handle, nullptr),
        PALYRA_OK);
    return handle;
  }
};

TEST_F(WatchTest, WhatIsThereComesFirstThenEachChange) {
  FakePlugin& user = open("user", kUsesTool);
  FakePlugin& fs = open("fs", kOffersTool);
  FakeService service;
  const palyra_field label{to_str("kind"), to_str("files")};
  palyra_publish_options options{};
  options.struct_size = sizeof(options);
  options.encodings = 1u << PALYRA_ENCODING_JSON;
  options.labels = &label;
  options.label_count = 1;
  ASSERT_TRUE(fs.publish("palyra.tool/1", service, &options).ok());
  Log log;
  watch(user, log);
  EXPECT_TRUE(log.lines.empty()) << "never inside the call";
  user.lane.run_ready();
  EXPECT_EQ(log.lines, std::vector<std::string>{"+fs kind=files json"});

  FakePlugin& http = open("http", kOffersTool, {"", true, false, false});
  ASSERT_TRUE(http.publish("palyra.tool/1", service).ok());
  user.lane.run_ready();
  EXPECT_EQ(log.lines.size(), 1u) << "not active yet";
  host_.table()->activate(host_.table()->ctx, to_str("http"));
  close("fs");
  user.lane.run_ready();
  EXPECT_EQ(log.lines,
            (std::vector<std::string>{"+fs kind=files json", "+http", "-fs kind=files json"}));
}

TEST_F(WatchTest, DrainAndWithdrawRemove) {
  FakePlugin& user = open("user", kUsesTool);
  FakePlugin& fs = open("fs", kOffersTool);
  FakePlugin& http = open("http", kOffersTool);
  FakeService service;
  ASSERT_TRUE(fs.publish("palyra.tool/1", service).ok());
  auto publication = http.publish("palyra.tool/1", service);
  Log log;
  watch(user, log);
  host_.table()->drain(
      host_.table()->ctx, to_str("fs"), [](void*) {}, nullptr);
  http.table->withdraw(http.table->ctx, *publication);
  close("fs");
  user.lane.run_ready();
  EXPECT_EQ(log.lines, (std::vector<std::string>{"+fs", "+http", "-fs", "-http"}));
}

TEST_F(WatchTest, NothingComesAfterUnwatch) {
  FakePlugin& user = open("user", kUsesTool);
  FakePlugin& other = open("other", kUsesTool);
  FakePlugin& fs = open("fs", kOffersTool);
  FakeService service;
  Log log;
  const palyra_handle handle = watch(user, log);
  ASSERT_TRUE(fs.publish("palyra.tool/1", service).ok());
  other.table->unwatch(other.table->ctx, handle);
  user.lane.run_ready();
  EXPECT_EQ(log.lines.size(), 1u) << "another plugin cannot end this watch";
  close("fs");
  user.table->unwatch(user.table->ctx, handle);
  user.table->unwatch(user.table->ctx, handle);
  user.lane.run_ready();
  EXPECT_EQ(log.lines.size(), 1u);
}

}  // namespace
}  // namespace palyra::registry
