// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/timer_queue.h"

#include "host/facilities/lane.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <future>
#include <random>

namespace palyra::host {
namespace {

palyra_mono_ns in(std::chrono::nanoseconds delay) {
  return (std::chrono::steady_clock::now().time_since_epoch() + delay).count();
}

struct TimerTest : ::testing::Test {
  ThreadPool pool{2};
  TimerQueue timers;
  BlockingPool blocking;
  Lane lane{pool, timers, blocking, false, nullptr};
  std::vector<int> fired;
  std::promise<void> done;

  struct Entry {
    TimerTest* test;
    int number;
    bool last;
  };
  std::deque<Entry> entries;

  Job entry(int number, bool last = false) {
    entries.push_back({this, number, last});
    return {[](void* arg) {
              auto* entry = static_cast<Entry*>(arg);
              entry->test->fired.push_back(entry->number);
              if (entry->last) entry->test->done.set_value();
            },
            &entries.back()};
  }
};

TEST_F(TimerTest, FireInTheOrderOfTheirTimesAndNotBefore) {
  const palyra_mono_ns base = in(std::chrono::milliseconds(20));
  lane.post_at(base + 3000, entry(3, true));
  lane.post_at(base + 1000, entry(1));
  lane.post_at(base + 2000, entry(2));
  done.get_future().wait();
  EXPECT_GE(in({}), base + 3000);
  EXPECT_EQ(fired, (std::vector<int>{1, 2, 3}));
}

TEST_F(TimerTest, ACancelledTimerDoesNotRun) {
  const palyra_handle one = lane.post_at(in(std::chrono::hours(1)), entry(1));
  EXPECT_TRUE(lane.cancel_timer(one));
  EXPECT_FALSE(lane.cancel_timer(one));
  EXPECT_FALSE(lane.cancel_timer(0));
  EXPECT_FALSE(lane.cancel_timer(one + (uint64_t{1} << 32)));
  lane.post_at(0, entry(2, true));
  done.get_future().wait();
  EXPECT_EQ(fired, std::vector<int>{2});
}

TEST_F(TimerTest, AHandleOfAFinishedTimerIsStaleEvenIfItsSlotIsUsedAgain) {
  const palyra_handle one = lane.post_at(0, entry(1, true));
  done.get_future().wait();
  const palyra_handle two = lane.post_at(in(std::chrono::hours(1)), entry(2));
  EXPECT_NE(one, two);
  EXPECT_FALSE(lane.cancel_timer(one));
  EXPECT_TRUE(lane.cancel_timer(two));
}

TEST_F(TimerTest, OnTheLaneTheAnswerOfCancelIsFinal) {
  struct Case {
    Lane* lane;
    palyra_handle timer = 0;
    bool ran = false;
    std::promise<bool> cancelled;
  } subject{&lane, 0, false, {}};
  lane.hold();
  // Due, and by the time the lane runs surely posted behind the function that cancels it.
  lane.post({[](void* arg) {
               auto* self = static_cast<Case*>(arg);
               self->cancelled.set_value(self->lane->cancel_timer(self->timer));
             },
             &subject});
  subject.timer =
      lane.post_at(0, {[](void* arg) { static_cast<Case*>(arg)->ran = true; }, &subject});
  lane.release();
  EXPECT_TRUE(subject.cancelled.get_future().get());
  lane.post_at(in(std::chrono::milliseconds(1)), entry(9, true));
  done.get_future().wait();
  EXPECT_FALSE(subject.ran);
}

TEST_F(TimerTest, ManyTimersFromManyThreadsWithCancelsEachRunOnceOrNever) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr int kThreads = 4;
  constexpr int kTimers = 2000;
  std::atomic<int> cancelled{0};
  static std::atomic<int> ran;
  ran = 0;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(seed + t);
      for (int i = 0; i < kTimers; ++i) {
        const auto delay = std::chrono::microseconds(random() % 500);
        const auto timer = lane.post_at(in(delay), {[](void*) { ++ran; }, nullptr});
        if (random() % 2 == 0 && lane.cancel_timer(timer)) ++cancelled;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  lane.post_at(in(std::chrono::milliseconds(1)), entry(1, true));
  done.get_future().wait();
  EXPECT_EQ(ran + cancelled, kThreads * kTimers);
}

}  // namespace
}  // namespace palyra::host
