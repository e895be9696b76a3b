// Host and its helpers over a FakeHost, with and without the optional facilities.
#include "palyra/host.hpp"

#include "palyra/testing/fake_host.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace palyra {
namespace {

using testing::FakeHost;

TEST(Host, LogLinesCarryTheirFieldsAndRespectTheLevel) {
  FakeHost fake;
  Host host = fake.host();
  host.warn("slow disk", {{"ms", 17}, {"path", "/x"}, {"fatal", false}});
  ASSERT_EQ(fake.logs.size(), 1u);
  EXPECT_EQ(fake.logs[0].level, static_cast<uint32_t>(PALYRA_LOG_WARN));
  EXPECT_EQ(fake.logs[0].fields.at("ms"), "17");
  EXPECT_EQ(fake.logs[0].fields.at("path"), "/x");
  EXPECT_EQ(fake.logs[0].fields.at("fatal"), "false");
  fake.log_level = PALYRA_LOG_ERROR;
  host.info("not heard");
  EXPECT_EQ(fake.logs.size(), 1u);
}

TEST(Host, MetricsCountAndASeriesTakenByAnotherKindDoesNothing) {
  FakeHost fake;
  Host host = fake.host();
  Counter calls = host.counter("calls_total", "Calls.", {{"kind", "x"}});
  calls.add();
  calls.add(2);
  EXPECT_EQ(fake.metric("calls_total", "kind=x"), 3);
  host.gauge("calls_total", "Calls.", {{"kind", "x"}}).set(99);
  EXPECT_EQ(fake.metric("calls_total", "kind=x"), 3);
  Gauge().set(1);
}

TEST(Host, SecretsAndDocumentsComeBackOrSayWhy) {
  FakeHost fake;
  fake.secrets["env:KEY"] = "s3cret";
  fake.descriptions["paths"] = "{}";
  Host host = fake.host();
  EXPECT_EQ(*host.resolve_secret("env:KEY"), "s3cret");
  EXPECT_EQ(host.resolve_secret("env:OTHER").status().code(), Code::kNotFound);
  EXPECT_EQ(*host.describe_daemon("paths"), "{}");
  EXPECT_EQ(fake.live_buffers(), 0);
}

TEST(Host, AHostWithoutOptionalFacilitiesStillWorks) {
  FakeHost fake;
  for (const char* id : {PALYRA_LOG, PALYRA_CONFIG, PALYRA_CLOCK, PALYRA_RANDOM, PALYRA_METRICS,
                         PALYRA_STATE, PALYRA_DAEMON, PALYRA_REGISTRY}) {
    fake.without(id);
  }
  Host host = fake.host();
  EXPECT_TRUE(host.check().ok());
  host.error("nobody hears this");
  host.counter("x", "").add();
  EXPECT_GT(host.clock().mono_now(), 0);
  EXPECT_GT(host.clock().wall_now(), 0);
  uint64_t random = 0;
  host.random().fill(&random, sizeof(random));
  EXPECT_EQ(host.state_directory(), "");
  EXPECT_EQ(host.resolve_secret("env:KEY").status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(host.describe_daemon("paths").status().code(), Code::kFailedPrecondition);
}

TEST(Host, AHostWithoutAnExecutorOrBuffersIsRefused) {
  FakeHost no_executor, no_buffers;
  no_executor.without(PALYRA_EXECUTOR);
  no_buffers.without(PALYRA_BUFFER);
  EXPECT_EQ(no_executor.host().check().code(), Code::kFailedPrecondition);
  EXPECT_EQ(no_buffers.host().check().code(), Code::kFailedPrecondition);
  EXPECT_FALSE(no_buffers.host().copy("x"));
}

TEST(Buffer, CopiesShareAndTheLastOneReleases) {
  FakeHost fake;
  Host host = fake.host();
  {
    Buffer first = host.copy("hello");
    Buffer second = first;
    Buffer third = std::move(first);
    EXPECT_FALSE(first);
    EXPECT_EQ(second.view(), "hello");
    EXPECT_EQ(third.view(), "hello");
    EXPECT_EQ(fake.live_buffers(), 1);
    second = host.copy("");
    EXPECT_EQ(second.view(), "");
    EXPECT_EQ(fake.live_buffers(), 2);
    Buffer part = host.alloc(10);
    part.data()[0] = 'x';
    part.seal(1);
    EXPECT_EQ(part.view(), "x");
  }
  EXPECT_EQ(fake.live_buffers(), 0);
}

TEST(HostExecutor, RunsInOrderAndTimersWhenDue) {
  FakeHost fake;
  Host host = fake.host();
  std::string order;
  host.executor().post([&] { order += "a"; });
  host.executor().post([&] { order += "b"; });
  const TimerId timer = host.executor().post_at(fake.clock.mono_now() + 10, [&] { order += "t"; });
  const TimerId other = host.executor().post_at(fake.clock.mono_now() + 10, [&] { order += "u"; });
  host.executor().post_blocking([&] { order += "c"; });
  EXPECT_EQ(order, "");
  fake.executor.run_until_idle();
  EXPECT_EQ(order, "abc");
  EXPECT_TRUE(host.executor().cancel(other));
  EXPECT_FALSE(host.executor().cancel(other));
  fake.executor.advance(10);
  EXPECT_EQ(order, "abct");
  EXPECT_FALSE(host.executor().cancel(timer));
  EXPECT_FALSE(host.executor().cancel(0));
}

TEST(HostExecutor, WhatIsPostedAndNeverRunIsFreedAndAfterStopNothingRuns) {
  FakeHost fake;
  auto witness = std::make_shared<int>(0);
  {
    Host host = fake.host();
    host.executor().post([witness] { ++*witness; });
    host.executor().post_at(fake.clock.mono_now() + 5, [witness] { ++*witness; });
    EXPECT_EQ(witness.use_count(), 3);
    host.state()->stop();
    EXPECT_EQ(witness.use_count(), 1);
    fake.executor.advance(10);
    EXPECT_EQ(*witness, 0);
    host.executor().post([witness] { ++*witness; });
    fake.executor.run_until_idle();
    EXPECT_EQ(*witness, 0);
  }
  EXPECT_EQ(witness.use_count(), 1);
}

TEST(HostExecutor, AFunctionThatThrowsIsLoggedAndTheNextRuns) {
  FakeHost fake;
  Host host = fake.host();
  bool ran = false;
  host.executor().post([] { throw std::runtime_error("out of ink"); });
  host.executor().post([&] { ran = true; });
  fake.executor.run_until_idle();
  EXPECT_TRUE(ran);
  ASSERT_EQ(fake.logs.size(), 1u);
  EXPECT_EQ(fake.logs[0].fields.at("what"), "out of ink");
}

TEST(TaskScope, DestroysWhatIsSuspendedAndALaterSignalFindsNobody) {
  FakeHost fake;
  Slot<int> slot;
  Signal signal(fake.executor);
  int resumed = 0;
  auto witness = std::make_shared<int>(0);
  {
    TaskScope scope;
    const auto on_slot = [&](std::shared_ptr<int>) -> Task<void> {
      co_await slot;
      ++resumed;
    };
    const auto on_signal = [&](std::shared_ptr<int>) -> Task<void> {
      co_await signal.wait();
      ++resumed;
    };
    const auto at_once = [](std::shared_ptr<int>) -> Task<void> { co_return; };
    scope.spawn(on_slot(witness));
    scope.spawn(on_signal(witness));
    scope.spawn(at_once(witness));
    EXPECT_EQ(witness.use_count(), 3) << "the third has ended";
    EXPECT_FALSE(scope.empty());
  }
  EXPECT_EQ(witness.use_count(), 1);
  slot.set(1);
  signal.notify();
  fake.executor.run_until_idle();
  EXPECT_EQ(resumed, 0);
}

}  // namespace
}  // namespace palyra
