// The lifecycle glue of plugin.hpp, called as a host calls it.
#include "palyra/plugin.hpp"

#include "palyra/testing/fake_host.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace palyra {
namespace {

using testing::FakeHost;

// Does what its configuration says, and has a task that waits for ever.
class Moody : public Plugin {
 public:
  using Plugin::Plugin;
  Status init(std::string_view config) override {
    if (config == "throw") throw std::runtime_error("no such mood");
    if (config == "refuse") return {Code::kInvalidArgument, "mood must be good"};
    host().spawn(wait());
    host().executor().post_at(host().clock().mono_now() + kNanosPerSecond, [this] { ++late; });
    return {};
  }
  void stop() override { throw std::runtime_error("never mind"); }
  const void* query(std::string_view id) override {
    if (id == "x") return this;
    throw std::runtime_error("what?");
  }
  Task<void> wait() {
    auto held = std::make_shared<int>(0);
    co_await Slot<bool>();
  }
  int late = 0;
};

const palyra_plugin* descriptor() { return detail::Descriptor<Moody>::get(to_str("{}")); }

TEST(Plugin, StepsReturnStatusesEvenWhenTheyThrow) {
  FakeHost fake;
  const palyra_plugin* plugin = descriptor();
  void* self = nullptr;
  palyra_error error = make_error();
  ASSERT_EQ(plugin->create(fake.abi(), &self, &error), PALYRA_OK);
  EXPECT_EQ(plugin->init(self, to_str("refuse"), &error), PALYRA_INVALID_ARGUMENT);
  EXPECT_STREQ(error.message, "mood must be good");
  EXPECT_EQ(plugin->init(self, to_str("throw"), &error), PALYRA_INTERNAL);
  EXPECT_STREQ(error.message, "init failed: no such mood");
  EXPECT_NE(plugin->query(self, to_str("x")), nullptr);
  EXPECT_EQ(plugin->query(self, to_str("y")), nullptr);
  plugin->stop(self);
  plugin->destroy(self);
}

TEST(Plugin, NothingIsLeftAfterStopAndAThousandRoundsDoNotGrow) {
  FakeHost fake;
  const palyra_plugin* plugin = descriptor();
  for (int i = 0; i < 1000; ++i) {
    void* self = nullptr;
    ASSERT_EQ(plugin->create(fake.abi(), &self, nullptr), PALYRA_OK);
    ASSERT_EQ(plugin->init(self, to_str("{}"), nullptr), PALYRA_OK);
    ASSERT_EQ(plugin->start(self, nullptr), PALYRA_OK);
    ASSERT_EQ(plugin->drain(self, PALYRA_NO_DEADLINE, nullptr), PALYRA_OK);
    plugin->stop(self);
    fake.executor.drop();
    plugin->destroy(self);
  }
  EXPECT_EQ(fake.live_buffers(), 0);
  EXPECT_TRUE(fake.executor.idle());
}

TEST(Plugin, AHostThatLacksTheEssentialsIsRefusedAtCreate) {
  FakeHost fake;
  fake.without(PALYRA_EXECUTOR);
  void* self = nullptr;
  palyra_error error = make_error();
  EXPECT_EQ(descriptor()->create(fake.abi(), &self, &error), PALYRA_FAILED_PRECONDITION);
  EXPECT_EQ(self, nullptr);
  EXPECT_NE(std::string(error.message).find(PALYRA_EXECUTOR), std::string::npos);
}

}  // namespace
}  // namespace palyra
