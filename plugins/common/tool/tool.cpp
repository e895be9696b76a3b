// SPDX-License-Identifier: Apache-2.0
#include "plugins/common/tool/tool.h"

namespace palyra::tool {

Task<Result<service::v1::VerifyCallResponse>> Tool::verify(Call /*call*/) {
  service::v1::VerifyCallResponse response;
  response.set_outcome(service::v1::CALL_OUTCOME_UNKNOWN);
  co_return response;
}

Status problem(std::string sentence) {
  return {Code::kFailedPrecondition, std::move(sentence), PALYRA_ERROR_USER_FAULT};
}

service::v1::InvokeResult json_result(const nlohmann::json& value) {
  service::v1::InvokeResult result;
  result.set_content(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  result.set_media_type("application/json");
  return result;
}

std::shared_ptr<const std::atomic<bool>> cancel_flag(const CancelToken& token) {
  auto flag = std::make_shared<std::atomic<bool>>(false);
  token.on_cancel([flag] { flag->store(true); });
  return flag;
}

}  // namespace palyra::tool
