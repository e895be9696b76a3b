// SPDX-License-Identifier: Apache-2.0
#include "host/lifecycle/step_runner.h"

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

namespace palyra::host {

StepEnd run_step(std::function<void()> step, std::chrono::milliseconds limit) {
  struct Shared {
    std::mutex mutex;
    std::condition_variable done;
    StepEnd end;
  };
  auto shared = std::make_shared<Shared>();
  std::thread thread([shared, run = std::move(step)]() mutable {
    StepEnd end;
    try {
      run();
    } catch (const std::exception& error) {
      end.threw = true;
      end.what = error.what();
    } catch (...) {
      end.threw = true;
      end.what = "something that is no std::exception";
    }
    run = nullptr;
    end.finished = true;
    const std::lock_guard lock(shared->mutex);
    shared->end = std::move(end);
    shared->done.notify_all();
  });
  std::unique_lock lock(shared->mutex);
  const auto until = std::chrono::steady_clock::now() + limit;
  if (shared->done.wait_until(lock, until, [&] { return shared->end.finished; })) {
    StepEnd end = shared->end;
    lock.unlock();
    thread.join();
    return end;
  }
  thread.detach();
  return {};
}

}  // namespace palyra::host
