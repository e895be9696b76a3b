// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace palyra::host {

struct StepEnd {
  bool finished = false;  // false: it overran; its thread is abandoned and may still run
  bool threw = false;
  std::string what;  // of the exception
};

// Runs `step` on a thread of its own and waits for it up to `limit`. What the step refers to must
// be owned by the function object: it outlives this call if the step hangs.
StepEnd run_step(std::function<void()> step, std::chrono::milliseconds limit);

}  // namespace palyra::host
