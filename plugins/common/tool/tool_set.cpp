// SPDX-License-Identifier: Apache-2.0
#include "plugins/common/tool/tool_set.h"

namespace palyra::tool {
namespace {

using service::v1::InvokeResult;

InvokeResult error_result(const std::string& sentence) {
  InvokeResult result;
  result.set_content(sentence);
  result.set_is_error(true);
  return result;
}

bool name_fits(const std::string& name) {
  return !name.empty() && name.size() <= 64 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.-") == std::string::npos;
}

// The arguments if they fit.
Result<nlohmann::json> read_arguments(const std::string& text, const json_schema::Schema& schema) {
  auto value = json_schema::parse_json(text.empty() ? "{}" : text, "the arguments");
  if (!value.ok()) return value.status();
  if (Status status = schema.validate_value(*value); !status.ok()) {
    return Status(status.code(), "the arguments: " + status.message(), status.flags());
  }
  return value;
}

Call make_call(nlohmann::json arguments, const std::string& key,
               const service::v1::ToolContext& context, CancelToken cancel) {
  Call call;
  call.arguments = std::move(arguments);
  call.idempotency_key = key;
  call.run_id = context.run_id();
  call.workspace_roots.assign(context.workspace_roots().begin(), context.workspace_roots().end());
  call.cancel = std::move(cancel);
  return call;
}

}  // namespace

Result<ToolSet> ToolSet::create(std::vector<std::shared_ptr<Tool>> tools) {
  ToolSet set;
  for (auto& tool : tools) {
    auto info = tool->info();
    const auto invalid = [&info](const std::string& why) {
      return Status(Code::kInvalidArgument, "tool \"" + info.name() + "\": " + why);
    };
    if (!name_fits(info.name())) return invalid("the name must be 1..64 of [a-z0-9_.-]");
    auto schema = json_schema::Schema::parse(info.input_schema_json());
    if (!schema.ok()) return invalid(schema.status().message());
    std::string name = info.name();
    const bool added =
        set.entries_.emplace(std::move(name), Entry{std::move(tool), info, std::move(*schema)})
            .second;
    if (!added) return invalid("the name is used twice");
  }
  return set;
}

service::v1::ListToolsResponse ToolSet::list() const {
  service::v1::ListToolsResponse response;
  for (const auto& [name, entry] : entries_) *response.add_tools() = entry.info;
  return response;
}

Result<const ToolSet::Entry*> ToolSet::find(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    return Status(Code::kNotFound, "no tool \"" + name.substr(0, 64) + "\" here",
                  PALYRA_ERROR_USER_FAULT);
  }
  return &found->second;
}

Task<Result<InvokeResult>> ToolSet::invoke(service::v1::InvokeRequest request,
                                           CancelToken cancel) const {
  auto entry = find(request.name());
  if (!entry.ok()) co_return entry.status();
  auto arguments = read_arguments(request.arguments_json(), (*entry)->schema);
  if (!arguments.ok()) {
    if (arguments.status().code() == Code::kInternal) co_return arguments.status();
    co_return error_result(arguments.status().message());
  }
  Call call = make_call(std::move(*arguments), request.idempotency_key(), request.context(),
                        std::move(cancel));
  call.attempt = request.attempt();
  const std::shared_ptr<Tool> tool = (*entry)->tool;
  Result<InvokeResult> result = co_await tool->invoke(std::move(call));
  if (!result.ok() && (result.status().flags() & PALYRA_ERROR_USER_FAULT) != 0) {
    co_return error_result(result.status().message());
  }
  co_return result;
}

Task<Result<service::v1::VerifyCallResponse>> ToolSet::verify(
    service::v1::VerifyCallRequest request, CancelToken cancel) const {
  auto entry = find(request.name());
  if (!entry.ok()) co_return entry.status();
  auto arguments = read_arguments(request.arguments_json(), (*entry)->schema);
  // What does not fit the schema was never begun.
  if (!arguments.ok() && arguments.status().code() != Code::kInternal) {
    service::v1::VerifyCallResponse response;
    response.set_outcome(service::v1::CALL_OUTCOME_NOT_HAPPENED);
    co_return response;
  }
  if (!arguments.ok()) co_return arguments.status();
  const std::shared_ptr<Tool> tool = (*entry)->tool;
  co_return co_await tool->verify(make_call(std::move(*arguments), request.idempotency_key(),
                                            request.context(), std::move(cancel)));
}

}  // namespace palyra::tool
