#include "plugins/providers/embedded/script_parser.h"

#include "plugins/common/provider/failure.h"

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include <initializer_list>
#include <string_view>
#include <utility>

namespace palyra::embedded {
namespace {

constexpr int64_t kMaxDelayMs = 600'000;
constexpr int kMaxJsonDepth = 64;

// Thrown inside this file only; parse_script turns it into a Status.
struct Wrong {
  int line;
  std::string what;
};

int line_of(const YAML::Node& node) { return node.Mark().line + 1; }

[[noreturn]] void wrong(const YAML::Node& node, std::string what) {
  throw Wrong{line_of(node), std::move(what)};
}

void check_keys(const YAML::Node& map, std::initializer_list<std::string_view> known) {
  if (!map.IsMap()) wrong(map, "a map is needed here");
  for (const auto& entry : map) {
    if (!entry.first.IsScalar()) wrong(entry.first, "a key must be a word");
    bool found = false;
    std::string list;
    for (const std::string_view name : known) {
      found = found || entry.first.Scalar() == name;
      list += list.empty() ? "" : ", ";
      list += name;
    }
    if (!found) {
      wrong(entry.first, "unknown key \"" + entry.first.Scalar() + "\"; known here: " + list);
    }
  }
}

std::string text_of(const YAML::Node& node, const char* key) {
  if (!node.IsScalar()) wrong(node, std::string(key) + " must be a text");
  return node.Scalar();
}

int64_t number_of(const YAML::Node& node, const char* key, int64_t low, int64_t high) {
  int64_t value = 0;
  if (!node.IsScalar() || !YAML::convert<int64_t>::decode(node, value) || value < low ||
      value > high) {
    wrong(node, std::string(key) + " must be a number from " + std::to_string(low) + " to " +
                    std::to_string(high));
  }
  return value;
}

bool flag_of(const YAML::Node& node, const char* key) {
  bool value = false;
  if (!node.IsScalar() || !YAML::convert<bool>::decode(node, value)) {
    wrong(node, std::string(key) + " must be true or false");
  }
  return value;
}

nlohmann::json json_of(const YAML::Node& node, int depth) {
  if (depth > kMaxJsonDepth) wrong(node, "arguments are nested too deeply");
  if (node.IsMap()) {
    auto object = nlohmann::json::object();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) wrong(entry.first, "a key must be a word");
      object[entry.first.Scalar()] = json_of(entry.second, depth + 1);
    }
    return object;
  }
  if (node.IsSequence()) {
    auto array = nlohmann::json::array();
    for (const auto& entry : node) array.push_back(json_of(entry, depth + 1));
    return array;
  }
  if (node.IsNull()) return nullptr;
  // A quoted scalar carries the tag "!": it stays a string whatever it looks like.
  if (node.Tag() != "!") {
    bool flag = false;
    int64_t integer = 0;
    double number = 0;
    if (YAML::convert<bool>::decode(node, flag)) return flag;
    if (YAML::convert<int64_t>::decode(node, integer)) return integer;
    if (YAML::convert<double>::decode(node, number)) return number;
  }
  return node.Scalar();
}

std::vector<common::v1::ToolCall> tool_calls_of(const YAML::Node& node) {
  if (!node.IsSequence()) wrong(node, "tool_calls must be a list");
  std::vector<common::v1::ToolCall> calls;
  for (const auto& entry : node) {
    check_keys(entry, {"name", "arguments", "call_id"});
    common::v1::ToolCall call;
    if (!entry["name"]) wrong(entry, "a tool call needs a name");
    call.set_name(text_of(entry["name"], "name"));
    call.set_arguments_json("{}");
    if (const auto arguments = entry["arguments"]) {
      // A text goes out as it is, so that a script can play a model that writes bad JSON.
      call.set_arguments_json(arguments.IsScalar() ? arguments.Scalar()
                                                   : json_of(arguments, 0).dump());
    }
    if (entry["call_id"]) call.set_call_id(text_of(entry["call_id"], "call_id"));
    calls.push_back(std::move(call));
  }
  return calls;
}

AnswerFailure failure_of(const YAML::Node& node) {
  check_keys(node, {"kind", "message", "retry_after_ms", "http_status", "after_bytes"});
  AnswerFailure failure;
  if (!node["kind"]) wrong(node, "a failure needs a kind, such as rate_limit");
  const std::string kind = text_of(node["kind"], "kind");
  const auto known = provider::failure_kind_from_name(kind);
  if (!known) {
    wrong(node["kind"], "unknown failure kind \"" + kind +
                            "\"; known: auth, rate_limit, quota, context_overflow, bad_request, "
                            "model_not_found, unavailable, timeout, protocol, circuit_open");
  }
  failure.kind = *known;
  failure.message =
      node["message"] ? text_of(node["message"], "message") : "scripted failure of kind " + kind;
  if (const auto n = node["retry_after_ms"]) {
    failure.retry_after_ms = number_of(n, "retry_after_ms", 0, INT64_MAX / 1'000'000);
  }
  if (const auto n = node["http_status"]) {
    failure.http_status = static_cast<int32_t>(number_of(n, "http_status", 100, 599));
  }
  if (const auto n = node["after_bytes"]) {
    failure.after_bytes = number_of(n, "after_bytes", 0, INT32_MAX);
  }
  return failure;
}

common::v1::Usage usage_of(const YAML::Node& node) {
  check_keys(node, {"input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens"});
  common::v1::Usage usage;
  const auto read = [&node](const char* key) {
    return node[key] ? number_of(node[key], key, 0, INT64_MAX) : 0;
  };
  usage.set_input_tokens(read("input_tokens"));
  usage.set_output_tokens(read("output_tokens"));
  usage.set_cached_input_tokens(read("cached_input_tokens"));
  usage.set_reasoning_tokens(read("reasoning_tokens"));
  return usage;
}

service::v1::FinishReason finish_of(const YAML::Node& node) {
  const std::string name = text_of(node, "finish_reason");
  if (name == "stop") return service::v1::FINISH_REASON_STOP;
  if (name == "length") return service::v1::FINISH_REASON_LENGTH;
  if (name == "tool_calls") return service::v1::FINISH_REASON_TOOL_CALLS;
  if (name == "filtered") return service::v1::FINISH_REASON_FILTERED;
  wrong(node, "finish_reason must be stop, length, tool_calls or filtered");
}

StepMatch match_of(const YAML::Node& node) {
  check_keys(node, {"in", "contains", "regex", "turn", "any"});
  StepMatch match;
  if (const auto in = node["in"]) {
    const std::string name = text_of(in, "in");
    if (name == "user") {
      match.in = StepMatch::In::kUser;
    } else if (name == "tool") {
      match.in = StepMatch::In::kTool;
    } else if (name != "newest") {
      wrong(in, "in must be newest, user or tool");
    }
  }
  if (const auto contains = node["contains"]) match.contains = text_of(contains, "contains");
  if (const auto regex = node["regex"]) {
    match.regex_text = text_of(regex, "regex");
    try {
      match.regex.emplace(*match.regex_text, std::regex::ECMAScript);
    } catch (const std::regex_error& error) {
      wrong(regex, std::string("the regex is not valid: ") + error.what());
    }
  }
  if (const auto turn = node["turn"]) match.turn = number_of(turn, "turn", 1, INT32_MAX);
  if (const auto any = node["any"]) {
    if (!flag_of(any, "any")) wrong(any, "any can only be true");
    if (node.size() > 1) wrong(any, "any cannot stand beside other conditions");
  }
  return match;
}

Step step_of(const YAML::Node& node) {
  check_keys(node, {"when", "once", "text", "reasoning", "tool_calls", "deltas", "delay_ms",
                    "chunk_bytes", "failure", "hang", "usage", "finish_reason"});
  Step step;
  step.line = line_of(node);
  if (const auto n = node["when"]) step.match = match_of(n);
  if (const auto n = node["once"]) step.once = flag_of(n, "once");
  Answer& answer = step.answer;
  if (const auto n = node["text"]) answer.text = text_of(n, "text");
  if (const auto n = node["reasoning"]) answer.reasoning = text_of(n, "reasoning");
  if (const auto n = node["tool_calls"]) answer.tool_calls = tool_calls_of(n);
  if (const auto n = node["deltas"]) {
    check_keys(n, {"count", "bytes"});
    if (!n["count"] || !n["bytes"]) wrong(n, "deltas needs count and bytes");
    answer.delta_count = number_of(n["count"], "count", 0, 10'000'000);
    answer.delta_bytes = number_of(n["bytes"], "bytes", 1, 65'536);
  }
  if (const auto n = node["delay_ms"]) answer.delay_ms = number_of(n, "delay_ms", 0, kMaxDelayMs);
  if (const auto n = node["chunk_bytes"]) {
    answer.chunk_bytes = number_of(n, "chunk_bytes", 1, 1 << 20);
  }
  if (const auto n = node["failure"]) answer.failure = failure_of(n);
  if (const auto n = node["hang"]) answer.hang = flag_of(n, "hang");
  if (const auto n = node["usage"]) answer.usage = usage_of(n);
  if (const auto n = node["finish_reason"]) answer.finish_reason = finish_of(n);
  if (answer.hang && answer.failure) wrong(node, "a step cannot both hang and fail");
  return step;
}

}  // namespace

Result<std::vector<Step>> parse_script(const std::string& yaml, const std::string& file_name) {
  const auto fail = [&file_name](int line, const std::string& what) {
    return Status(Code::kInvalidArgument, file_name + ":" + std::to_string(line) + ": " + what,
                  PALYRA_ERROR_USER_FAULT);
  };
  try {
    const YAML::Node root = YAML::Load(yaml);
    if (!root.IsMap()) return fail(1, "a script is a map with the key steps");
    check_keys(root, {"steps"});
    const YAML::Node list = root["steps"];
    if (!list || !list.IsSequence()) return fail(1, "steps must be a list");
    std::vector<Step> steps;
    for (const auto& node : list) steps.push_back(step_of(node));
    return steps;
  } catch (const Wrong& error) {
    return fail(error.line, error.what);
  } catch (const YAML::Exception& error) {
    return fail(error.mark.line + 1, error.msg);
  }
}

}  // namespace palyra::embedded
