// A chat request as the JSON of POST /chat/completions. Pure.
#pragma once

#include "palyra/service/v1/provider.pb.h"
#include "palyra/status.hpp"
#include "plugins/providers/openai/config.h"
#include "plugins/providers/openai/tool_names.h"

#include <string>

namespace palyra::openai {

// Fills `names` with the tools of the request. INVALID_ARGUMENT if a schema is not JSON.
Result<std::string> build_request_body(const service::v1::ChatRequest& request,
                                       const Config& config, ToolNames* names);

}  // namespace palyra::openai
