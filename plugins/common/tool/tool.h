// SPDX-License-Identifier: Apache-2.0
// One tool: what it says about itself, what it does, and whether a call of it happened.
#pragma once

#include "palyra/service/v1/tool.pb.h"
#include "palyra/status.hpp"
#include "palyra/task.hpp"

#include <nlohmann/json.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace palyra::tool {

// A call, judged against the tool's schema already.
struct Call {
  nlohmann::json arguments;     // an object
  std::string idempotency_key;  // the same in every attempt
  uint32_t attempt = 1;
  std::string run_id;
  std::vector<std::string> workspace_roots;  // absolute; the first is the default
  CancelToken cancel;
};

// All functions on the lane; nothing here may block it. A Status with PALYRA_ERROR_USER_FAULT is a
// problem that the model can solve, and reaches it as an is_error result; any other Status fails
// the call.
class Tool {
 public:
  virtual ~Tool() = default;
  virtual service::v1::ToolInfo info() const = 0;
  virtual Task<Result<service::v1::InvokeResult>> invoke(Call call) = 0;
  // Only asked if the effect is VERIFIABLE. Default: unknown.
  virtual Task<Result<service::v1::VerifyCallResponse>> verify(Call call);
};

// A problem for the model: one sentence.
Status problem(std::string sentence);
// A JSON result; bytes that are not UTF-8 become U+FFFD.
service::v1::InvokeResult json_result(const nlohmann::json& value);

// Runs `work` (which owns all it touches) on a thread that may block; resumes on the lane.
template <typename F>
Task<std::invoke_result_t<F>> run_blocking(Executor& executor, F work) {
  using R = std::invoke_result_t<F>;
  Slot<R> slot;
  executor.post_blocking([slot, &executor, work = std::move(work)]() mutable {
    auto result = std::make_shared<R>(work());
    executor.post([slot, result] { slot.set(std::move(*result)); });
  });
  co_return co_await slot;
}

// A flag for work on another thread that follows the token.
std::shared_ptr<const std::atomic<bool>> cancel_flag(const CancelToken& token);

}  // namespace palyra::tool
