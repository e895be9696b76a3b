// SPDX-License-Identifier: Apache-2.0
// palyra.tool/1, typed. Needs the generated palyra/service/v1/tool.pb.h.
#pragma once

#include "palyra/method.hpp"
#include "palyra/service/v1/tool.pb.h"
#include "palyra/services.h"

namespace palyra::tool {

namespace pb = ::palyra::service::v1;

inline constexpr Unary<pb::ListToolsRequest, pb::ListToolsResponse> kList{PALYRA_TOOL_LIST};
inline constexpr ServerStream<pb::InvokeRequest, pb::InvokeProgress, pb::InvokeResult> kInvoke{
    PALYRA_TOOL_INVOKE};
inline constexpr Unary<pb::VerifyCallRequest, pb::VerifyCallResponse> kVerify{PALYRA_TOOL_VERIFY};

}  // namespace palyra::tool
