#include "plugins/providers/openai/request_body.h"

#include <nlohmann/json.hpp>

namespace palyra::openai {
namespace {

using nlohmann::json;
using service::v1::ChatMessage;

const char* role_of(service::v1::Role role) {
  switch (role) {
    case service::v1::ROLE_SYSTEM:
      return "system";
    case service::v1::ROLE_ASSISTANT:
      return "assistant";
    case service::v1::ROLE_TOOL:
      return "tool";
    default:
      return "user";
  }
}

json message_of(const ChatMessage& message, ToolNames* names) {
  json out = {{"role", role_of(message.role())}, {"content", message.text()}};
  if (message.role() == service::v1::ROLE_TOOL) out["tool_call_id"] = message.tool_call_id();
  if (message.tool_calls_size() > 0) {
    if (message.text().empty()) out["content"] = nullptr;
    auto& calls = out["tool_calls"] = json::array();
    for (const auto& call : message.tool_calls()) {
      calls.push_back(
          {{"id", call.call_id()},
           {"type", "function"},
           {"function",
            {{"name", names->to_api(call.name())}, {"arguments", call.arguments_json()}}}});
    }
  }
  return out;
}

Result<json> schema_of(const std::string& text, const std::string& whose) {
  if (text.empty()) return json{{"type", "object"}, {"properties", json::object()}};
  json schema = json::parse(text, nullptr, false);
  if (schema.is_discarded() || !schema.is_object()) {
    return Status(Code::kInvalidArgument, "the schema of " + whose + " is not a JSON object",
                  PALYRA_ERROR_USER_FAULT);
  }
  return schema;
}

}  // namespace

Result<std::string> build_request_body(const service::v1::ChatRequest& request,
                                       const Config& config, ToolNames* names) {
  json body = {{"model", request.model()}, {"stream", true}};
  if (config.stream_usage) body["stream_options"] = {{"include_usage", true}};
  if (request.max_output_tokens() > 0) {
    body[config.legacy_max_tokens ? "max_tokens" : "max_completion_tokens"] =
        request.max_output_tokens();
  }
  if (request.has_temperature()) body["temperature"] = request.temperature();

  for (const auto& tool : request.tools()) {
    auto schema = schema_of(tool.input_schema_json(), "tool " + tool.name());
    if (!schema) return schema.status();
    body["tools"].push_back({{"type", "function"},
                             {"function",
                              {{"name", names->to_api(tool.name())},
                               {"description", tool.description()},
                               {"parameters", std::move(*schema)}}}});
  }
  auto& messages = body["messages"] = json::array();
  for (const auto& message : request.messages()) messages.push_back(message_of(message, names));

  if (!request.response_schema_json().empty()) {
    auto schema = schema_of(request.response_schema_json(), "the response");
    if (!schema) return schema.status();
    body["response_format"] = {
        {"type", "json_schema"},
        {"json_schema", {{"name", "answer"}, {"schema", std::move(*schema)}}}};
  }
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace palyra::openai
