#include "plugins/providers/embedded/script.h"

#include "plugins/providers/embedded/script_parser.h"

#include <fstream>
#include <sstream>
#include <utility>

namespace palyra::embedded {
namespace {

constexpr size_t kMaxFileBytes = 4u << 20;
constexpr size_t kMaxSearchedBytes = 64u << 10;

using service::v1::ChatRequest;

// The texts a step looks at, joined by newlines. The regex engine recurses by input length, so what
// it gets is bounded.
std::string searched_text(const ChatRequest& request, StepMatch::In in) {
  int user = -1;
  for (int i = request.messages_size() - 1; i >= 0 && user < 0; --i) {
    if (request.messages(i).role() == service::v1::ROLE_USER) user = i;
  }
  std::string tools;
  for (int i = user + 1; i < request.messages_size(); ++i) {
    if (request.messages(i).role() != service::v1::ROLE_TOOL) continue;
    if (!tools.empty()) tools += '\n';
    tools += request.messages(i).text();
  }
  const bool want_tools =
      in == StepMatch::In::kTool || (in == StepMatch::In::kNewest && !tools.empty());
  std::string text = want_tools ? std::move(tools) : user < 0 ? "" : request.messages(user).text();
  // A step about tool results does not match a turn without any.
  return text;
}

bool has_tool_results(const ChatRequest& request) {
  for (int i = request.messages_size() - 1; i >= 0; --i) {
    if (request.messages(i).role() == service::v1::ROLE_USER) return false;
    if (request.messages(i).role() == service::v1::ROLE_TOOL) return true;
  }
  return false;
}

bool matches(const StepMatch& match, const ChatRequest& request) {
  if (match.turn) {
    int64_t turn = 1;
    for (const auto& message : request.messages()) {
      if (message.role() == service::v1::ROLE_ASSISTANT) ++turn;
    }
    if (turn != *match.turn) return false;
  }
  if (match.in == StepMatch::In::kTool && !has_tool_results(request)) return false;
  if (match.in == StepMatch::In::kUser && has_tool_results(request)) return false;
  if (!match.contains && !match.regex) return true;
  const std::string text = searched_text(request, match.in);
  if (match.contains && text.find(*match.contains) == std::string::npos) return false;
  if (match.regex && !std::regex_search(text.substr(0, kMaxSearchedBytes), *match.regex)) {
    return false;
  }
  return true;
}

}  // namespace

Result<Script> Script::parse(const std::string& yaml, const std::string& file_name) {
  auto steps = parse_script(yaml, file_name);
  if (!steps) return steps.status();
  Script script;
  script.steps_ = std::move(*steps);
  script.used_.resize(script.steps_.size());
  return script;
}

Result<Script> Script::load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return Status(Code::kNotFound,
                  "script " + path +
                      " cannot be read: check that it exists and "
                      "that the daemon may read it",
                  PALYRA_ERROR_USER_FAULT);
  }
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxFileBytes) {
    return Status(Code::kInvalidArgument, "script " + path + " is larger than 4 MiB",
                  PALYRA_ERROR_USER_FAULT);
  }
  return parse(text, path);
}

std::optional<Answer> Script::next(const ChatRequest& request) {
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (used_[i] || !matches(steps_[i].match, request)) continue;
    if (steps_[i].once) used_[i] = true;
    Answer answer = steps_[i].answer;
    for (size_t n = 0; n < answer.tool_calls.size(); ++n) {
      if (!answer.tool_calls[n].call_id().empty()) continue;
      answer.tool_calls[n].set_call_id("call_" + std::to_string(request.messages_size()) + "_" +
                                       std::to_string(n + 1));
    }
    return answer;
  }
  return std::nullopt;
}

}  // namespace palyra::embedded
