// SPDX-License-Identifier: Apache-2.0
// A tool whose work is files: it runs on a thread that may block, never on the lane.
#pragma once

#include "palyra/world.hpp"

#include "plugins/common/tool/tool.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace palyra::tools {

struct FileCall {
  nlohmann::json arguments;
  std::string idempotency_key;
  std::vector<std::string> roots;
  std::shared_ptr<const std::atomic<bool>> cancelled;
};

// Held by shared_ptr: the work keeps its tool alive.
class FileTool : public tool::Tool, public std::enable_shared_from_this<FileTool> {
 public:
  explicit FileTool(Executor& executor) : executor_(executor) {}

  Task<Result<service::v1::InvokeResult>> invoke(tool::Call call) final {
    auto self = shared_from_this();
    auto result = co_await tool::run_blocking(
        executor_, [self, files = file_call(std::move(call))] { return self->run(files); });
    if (!result.ok()) co_return result.status();
    co_return tool::json_result(*result);
  }
  Task<Result<service::v1::VerifyCallResponse>> verify(tool::Call call) final {
    auto self = shared_from_this();
    co_return co_await tool::run_blocking(
        executor_, [self, files = file_call(std::move(call))] { return self->check(files); });
  }

 protected:
  // What the model gets. [pool], several at once.
  virtual Result<nlohmann::json> run(const FileCall& call) const = 0;
  virtual Result<service::v1::VerifyCallResponse> check(const FileCall& /*call*/) const {
    service::v1::VerifyCallResponse response;
    response.set_outcome(service::v1::CALL_OUTCOME_UNKNOWN);
    return response;
  }

 private:
  static FileCall file_call(tool::Call call) {
    return {std::move(call.arguments), std::move(call.idempotency_key),
            std::move(call.workspace_roots), tool::cancel_flag(call.cancel)};
  }

  Executor& executor_;
};

}  // namespace palyra::tools
