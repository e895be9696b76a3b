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

  // Lambdas are named before they are awaited: GCC 12 destroys temporaries of an await twice.
  Task<Result<service::v1::InvokeResult>> invoke(tool::Call call) final {
    auto work = [self = shared_from_this(), files = file_call(std::move(call))] {
      return self->run(files);
    };
    auto task = tool::run_blocking(executor_, std::move(work));
    auto result = co_await std::move(task);
    if (!result.ok()) co_return result.status();
    co_return tool::json_result(*result);
  }
  Task<Result<service::v1::VerifyCallResponse>> verify(tool::Call call) final {
    auto work = [self = shared_from_this(), files = file_call(std::move(call))] {
      return self->check(files);
    };
    auto task = tool::run_blocking(executor_, std::move(work));
    co_return co_await std::move(task);
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
