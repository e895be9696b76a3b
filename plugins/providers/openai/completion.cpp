#include "plugins/providers/openai/completion.h"

#include "plugins/common/provider/tokens.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace palyra::openai {
namespace {

using nlohmann::json;

constexpr size_t kMaxArguments = 1u << 20;
constexpr size_t kMaxCalls = 128;
constexpr size_t kMaxCallId = 128;
constexpr size_t kMaxName = 256;

// Null if absent or of another type.
const std::string* text_at(const json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : found->get_ptr<const std::string*>();
}

const json* object_at(const json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || !found->is_object() ? nullptr : &*found;
}

int64_t number_at(const json* object, const char* key) {
  if (object == nullptr) return 0;
  const auto found = object->find(key);
  if (found == object->end() || !found->is_number_integer()) return 0;
  return std::max<int64_t>(found->get<int64_t>(), 0);
}

service::v1::FinishReason finish_of(const std::string& name) {
  if (name == "length") return service::v1::FINISH_REASON_LENGTH;
  if (name == "content_filter") return service::v1::FINISH_REASON_FILTERED;
  if (name == "tool_calls" || name == "function_call") return service::v1::FINISH_REASON_TOOL_CALLS;
  return service::v1::FINISH_REASON_STOP;
}

common::v1::Usage usage_of(const json& usage) {
  common::v1::Usage out;
  out.set_input_tokens(number_at(&usage, "prompt_tokens"));
  out.set_output_tokens(number_at(&usage, "completion_tokens"));
  out.set_cached_input_tokens(
      number_at(object_at(usage, "prompt_tokens_details"), "cached_tokens"));
  out.set_reasoning_tokens(
      number_at(object_at(usage, "completion_tokens_details"), "reasoning_tokens"));
  return out;
}

}  // namespace

Completion::Fed Completion::bad(std::string problem) {
  problem_ = std::move(problem);
  return Fed::kBad;
}

Completion::Fed Completion::feed_chunk(std::string_view data) {
  if (data == "[DONE]") return Fed::kDone;
  const json root = json::parse(data, nullptr, false);
  if (!root.is_object()) return bad("an event of the stream is not a JSON object");
  return common(root);
}

Completion::Fed Completion::feed_whole(std::string_view text) {
  const json root = json::parse(text, nullptr, false);
  if (!root.is_object()) return bad("the answer is not a JSON object");
  const auto choices = root.find("choices");
  const bool error = root.find("error") != root.end() && !root["error"].is_null();
  if (!error && (choices == root.end() || !choices->is_array() || choices->empty())) {
    return bad("the answer has no choices");
  }
  const Fed fed = common(root);
  if (fed != Fed::kOk) return fed;
  return finish_reason_ ? Fed::kDone : bad("the answer has no finish_reason");
}

template <typename Json>
Completion::Fed Completion::common(const Json& root) {
  if (const auto error = root.find("error"); error != root.end() && !error->is_null()) {
    return Fed::kError;
  }
  if (const auto* id = text_at(root, "id"); id != nullptr && id_.empty()) id_ = id->substr(0, 256);
  if (const auto* model = text_at(root, "model")) model_ = model->substr(0, 256);
  if (const json* usage = object_at(root, "usage")) usage_ = usage_of(*usage);

  const auto choices = root.find("choices");
  if (choices == root.end() || choices->is_null()) return Fed::kOk;
  if (!choices->is_array()) return bad("choices is not a list");
  for (const auto& choice : *choices) {
    if (!choice.is_object()) return bad("a choice is not an object");
    if (number_at(&choice, "index") != 0) continue;
    for (const char* key : {"delta", "message"}) {
      if (const json* delta = object_at(choice, key)) {
        if (const Fed fed = message(*delta); fed != Fed::kOk) return fed;
      }
    }
    if (const auto* reason = text_at(choice, "finish_reason"); reason && !reason->empty()) {
      finish_reason_ = finish_of(*reason);
    }
  }
  return Fed::kOk;
}

template <typename Json>
Completion::Fed Completion::message(const Json& delta) {
  // Servers agree on content only: the text of reasoning has two names.
  for (const char* key : {"reasoning_content", "reasoning"}) {
    const auto* text = text_at(delta, key);
    if (text == nullptr || text->empty()) continue;
    service::v1::ChatEvent event;
    event.set_reasoning_delta(*text);
    on_event_(std::move(event));
    break;
  }
  for (const char* key : {"content", "refusal"}) {
    const auto* text = text_at(delta, key);
    if (text == nullptr || text->empty()) continue;
    output_bytes_ += static_cast<int64_t>(text->size());
    service::v1::ChatEvent event;
    event.set_text_delta(*text);
    on_event_(std::move(event));
  }
  const auto calls = delta.find("tool_calls");
  if (calls == delta.end() || calls->is_null()) return Fed::kOk;
  if (!calls->is_array()) return bad("tool_calls is not a list");
  int64_t position = 0;
  for (const auto& fragment : *calls) {
    if (const Fed fed = call_fragment(fragment, position++); fed != Fed::kOk) return fed;
  }
  return Fed::kOk;
}

template <typename Json>
Completion::Fed Completion::call_fragment(const Json& fragment, int64_t position) {
  if (!fragment.is_object()) return bad("a tool call is not an object");
  const int64_t index =
      fragment.find("index") == fragment.end() ? position : number_at(&fragment, "index");
  const auto* id = text_at(fragment, "id");

  // The newest call of that index; some servers use one index for several calls, told by their ids.
  PartialCall* call = nullptr;
  for (PartialCall& known : calls_) {
    if (known.index == index) call = &known;
  }
  if (call == nullptr || (id != nullptr && !id->empty() && !call->id.empty() && *id != call->id)) {
    if (calls_.size() == kMaxCalls) return bad("more than 128 tool calls in one turn");
    call = &calls_.emplace_back();
    call->index = index;
  }
  if (id != nullptr && !id->empty()) call->id = *id;
  if (const json* function = object_at(fragment, "function")) {
    if (const auto* name = text_at(*function, "name")) call->name += *name;
    if (const auto* arguments = text_at(*function, "arguments")) call->arguments += *arguments;
  }
  if (call->arguments.size() > kMaxArguments) {
    return bad("the arguments of a tool call have more than 1 MiB");
  }
  if (call->id.size() > kMaxCallId || call->name.size() > kMaxName) {
    return bad("the id or name of a tool call is too long");
  }
  return Fed::kOk;
}

bool Completion::finish() {
  // Cut off by the limit: the last call may be half a call.
  if (finish_reason_ == service::v1::FINISH_REASON_LENGTH && !calls_.empty() &&
      !json::accept(calls_.back().arguments)) {
    calls_.pop_back();
  }
  std::stable_sort(calls_.begin(), calls_.end(),
                   [](const auto& a, const auto& b) { return a.index < b.index; });
  int number = 0;
  for (PartialCall& call : calls_) {
    ++number;
    if (call.name.empty()) {
      problem_ = "a tool call has no name";
      return false;
    }
    output_bytes_ += static_cast<int64_t>(call.name.size() + call.arguments.size());
    service::v1::ChatEvent event;
    auto* out = event.mutable_tool_call();
    out->set_call_id(call.id.empty() ? "call_" + std::to_string(number) : call.id);
    out->set_name(names_.from_api(call.name));
    out->set_arguments_json(call.arguments.empty() ? "{}" : call.arguments);
    on_event_(std::move(event));
  }
  return true;
}

service::v1::ChatResult Completion::result(const service::v1::ChatRequest& request) const {
  service::v1::ChatResult result;
  auto reason = finish_reason_.value_or(service::v1::FINISH_REASON_STOP);
  // Many servers say "stop" after tool calls.
  if (reason == service::v1::FINISH_REASON_STOP && !calls_.empty()) {
    reason = service::v1::FINISH_REASON_TOOL_CALLS;
  }
  result.set_finish_reason(reason);
  if (usage_) {
    *result.mutable_usage() = *usage_;
  } else {
    result.mutable_usage()->set_input_tokens(provider::estimate_prompt_tokens(request));
    result.mutable_usage()->set_output_tokens((output_bytes_ + 3) / 4);
    result.mutable_usage()->set_estimated(true);
  }
  result.set_model(model_.empty() ? request.model() : model_);
  result.set_provider_request_id(id_);
  return result;
}

}  // namespace palyra::openai
