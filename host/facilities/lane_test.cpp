// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/lane.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

namespace palyra::host {
namespace {

// A job that runs and deletes a function.
Job job(std::function<void()> fn) {
  return {
      [](void* arg) {
        const std::unique_ptr<std::function<void()>> mine(static_cast<std::function<void()>*>(arg));
        (*mine)();
      },
      new std::function<void()>(std::move(fn))};
}

struct LaneTest : ::testing::Test {
  ThreadPool pool{4};
  TimerQueue timers;
  BlockingPool blocking;
  std::string fault;
  Lane lane{pool, timers, blocking, false, [this](const char* what) { fault = what; }};

  void finish() {
    std::promise<void> done;
    lane.post(job([&] { done.set_value(); }));
    done.get_future().wait();
  }
};

TEST_F(LaneTest, RunsInTheOrderOfPostingAndNeverTwoAtOnce) {
  constexpr int kPosters = 4;
  constexpr int kPosts = 5000;
  std::vector<int> last(kPosters, -1);
  int running = 0;  // no atomic: the lane makes it safe, TSan watches
  std::vector<std::thread> posters;
  for (int p = 0; p < kPosters; ++p) {
    posters.emplace_back([&, p] {
      for (int i = 0; i < kPosts; ++i) {
        lane.post(job([&, p, i] {
          EXPECT_EQ(++running, 1);
          EXPECT_EQ(last[static_cast<size_t>(p)], i - 1);
          last[static_cast<size_t>(p)] = i;
          --running;
        }));
      }
    });
  }
  for (auto& poster : posters) poster.join();
  finish();
  EXPECT_EQ(last, std::vector<int>(kPosters, kPosts - 1));
}

TEST_F(LaneTest, NeverRunsInsidePost) {
  bool inside = false;
  std::promise<bool> result;
  lane.post(job([&] {
    inside = true;
    lane.post(job([&] { result.set_value(inside); }));
    inside = false;
  }));
  EXPECT_FALSE(result.get_future().get());
}

TEST_F(LaneTest, NothingRunsWhileHeldAndEverythingAfterwards) {
  lane.hold();
  int ran = 0;
  lane.post(job([&] { ++ran; }));
  lane.post_at(0, job([&] { ++ran; }));
  EXPECT_EQ(ran, 0);
  lane.release();
  std::promise<void> done;
  // A timer of the past fires too; wait for both.
  std::function<void()> poll = [&] {
    if (ran == 2) {
      done.set_value();
    } else {
      lane.post(job(poll));
    }
  };
  lane.post(job(poll));
  done.get_future().wait();
}

TEST_F(LaneTest, HoldWaitsForTheFunctionThatRuns) {
  std::promise<void> begun;
  std::promise<void> go;
  std::atomic<bool> finished{false};
  lane.post(job([&] {
    begun.set_value();
    go.get_future().wait();
    finished = true;
  }));
  begun.get_future().wait();
  std::thread holder([&] {
    lane.hold();
    EXPECT_TRUE(finished);
    lane.release();
  });
  go.set_value();
  holder.join();
}

TEST_F(LaneTest, AfterCloseNothingRuns) {
  lane.hold();
  static std::atomic<int> ran;
  ran = 0;
  const Job count{[](void*) { ++ran; }, nullptr};
  lane.post(count);
  const palyra_handle timer = lane.post_at(0, count);
  lane.close();
  lane.post(count);
  lane.post_blocking(count);
  EXPECT_FALSE(lane.cancel_timer(timer));
  EXPECT_EQ(ran, 0);
}

TEST_F(LaneTest, SurvivesAFunctionThatThrows) {
  lane.post(job([] { throw std::runtime_error("oops"); }));
  finish();
  EXPECT_EQ(fault, "oops");
}

TEST_F(LaneTest, ParallelLanesRunFunctionsAtTheSameTime) {
  Lane any(pool, timers, blocking, true, nullptr);
  std::promise<void> first;
  std::promise<void> second;
  std::promise<void> done;
  any.post(job([&] {
    first.set_value();
    second.get_future().wait();  // would never come on a serial lane
    done.set_value();
  }));
  any.post(job([&] {
    first.get_future().wait();
    second.set_value();
  }));
  done.get_future().wait();
  any.close();
}

TEST_F(LaneTest, ParallelLanesLoseNothing) {
  Lane any(pool, timers, blocking, true, nullptr);
  std::atomic<int> ran{0};
  std::promise<void> done;
  constexpr int kPosts = 20'000;
  for (int i = 0; i < kPosts; ++i) {
    any.post(job([&] {
      if (++ran == kPosts) done.set_value();
    }));
  }
  done.get_future().wait();
  any.close();
  EXPECT_EQ(ran, kPosts);
}

TEST_F(LaneTest, AtMostFourBlockingFunctionsOfOneInstanceRunAtOnce) {
  std::mutex mutex;
  std::condition_variable changed;
  size_t running = 0;
  size_t most = 0;
  size_t finished = 0;
  bool go = false;
  constexpr size_t kJobs = 20;
  for (size_t i = 0; i < kJobs; ++i) {
    lane.post_blocking(job([&] {
      std::unique_lock lock(mutex);
      most = std::max(most, ++running);
      changed.notify_all();
      changed.wait(lock, [&] { return go; });
      --running;
      ++finished;
      changed.notify_all();
    }));
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return running == BlockingPool::kClientLimit; });
  go = true;
  changed.notify_all();
  changed.wait(lock, [&] { return finished == kJobs; });
  EXPECT_EQ(most, BlockingPool::kClientLimit);
}

}  // namespace
}  // namespace palyra::host
