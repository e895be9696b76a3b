// SPDX-License-Identifier: Apache-2.0
// A ToolSet published as palyra.tool/1.
#pragma once

#include "palyra/service.hpp"
#include "palyra/services/tool.hpp"
#include "plugins/common/tool/tool_set.h"

#include <utility>

namespace palyra::tool {

class ToolService : public ServiceBase {
 public:
  ToolService(Host host, ToolSet tools)
      : ServiceBase(std::move(host), PALYRA_SERVICE_TOOL), tools_(std::move(tools)) {
    unary(kList, this, &ToolService::list);
    stream(kInvoke, this, &ToolService::invoke);
    unary(kVerify, this, &ToolService::verify);
  }

 private:
  Task<Result<pb::ListToolsResponse>> list(pb::ListToolsRequest, CallContext&) {
    co_return tools_.list();
  }
  Task<Result<pb::InvokeResult>> invoke(pb::InvokeRequest request, CallContext& call,
                                        ItemWriter<pb::InvokeProgress>&) {
    co_return co_await tools_.invoke(std::move(request), call.cancel());
  }
  Task<Result<pb::VerifyCallResponse>> verify(pb::VerifyCallRequest request, CallContext& call) {
    co_return co_await tools_.verify(std::move(request), call.cancel());
  }

  const ToolSet tools_;
};

}  // namespace palyra::tool
