// SPDX-License-Identifier: Apache-2.0
#include "host/lifecycle/step_runner.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

namespace palyra::host {
namespace {

constexpr std::chrono::minutes kLong{1};

TEST(StepRunner, RunsOnAThreadOfItsOwn) {
  std::thread::id id;
  const auto end = run_step([&id] { id = std::this_thread::get_id(); }, kLong);
  EXPECT_TRUE(end.finished);
  EXPECT_FALSE(end.threw);
  EXPECT_NE(id, std::this_thread::get_id());
}

TEST(StepRunner, AnExceptionIsAnOutcome) {
  const auto end = run_step([] { throw std::runtime_error("no"); }, kLong);
  EXPECT_TRUE(end.finished && end.threw);
  EXPECT_EQ(end.what, "no");
  EXPECT_TRUE(run_step([] { throw 7; }, kLong).threw);
}

TEST(StepRunner, AStepThatHangsIsAbandonedAndWhatItUsesLivesOn) {
  struct Shared {
    std::promise<void> go;
    std::promise<void> gone;
    ~Shared() { gone.set_value(); }
  };
  auto shared = std::make_shared<Shared>();
  auto go = shared.get();
  std::future<void> gone = shared->gone.get_future();
  const auto end = run_step([shared = std::move(shared)] { shared->go.get_future().wait(); },
                            std::chrono::milliseconds(1));
  EXPECT_FALSE(end.finished);
  go->go.set_value();
  gone.wait();
}

}  // namespace
}  // namespace palyra::host
