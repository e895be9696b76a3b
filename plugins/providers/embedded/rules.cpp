#include "plugins/providers/embedded/rules.h"

#include "plugins/common/utf8/utf8.h"

#include <nlohmann/json.hpp>

#include <charconv>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::embedded {
namespace {

using service::v1::ChatMessage;
using service::v1::ChatRequest;

constexpr int64_t kMaxDeltas = 10'000'000;
constexpr int64_t kMaxDeltaBytes = 65'536;
constexpr size_t kQuoteBytes = 400;
constexpr size_t kMaxCalls = 64;

constexpr std::string_view kWhoIAm =
    "This is Palyra's embedded offline provider: it follows fixed rules and is not a language "
    "model.";
constexpr std::string_view kHelp =
    " It understands: /tool NAME {json} to call a tool, /tools to list the tools, /echo TEXT to "
    "repeat a text, /deltas N M to stream N pieces of M bytes. For real answers configure a model "
    "provider in palyra.toml.";

// The start of `text` in one line, cut at a code point.
std::string quote(std::string_view text, size_t limit = kQuoteBytes) {
  std::string out(utf8::prefix(text, limit));
  const size_t size = out.size();
  for (char& c : out) {
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  }
  if (size < text.size()) out += "...";
  return out;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// Cuts the first word off `rest`.
std::string_view take_word(std::string_view& rest) {
  rest = trim(rest);
  const auto end = rest.find_first_of(" \t\r\n");
  const std::string_view word = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
  return word;
}

// The text after "/name" if `line` is that command.
bool is_command(std::string_view line, std::string_view name, std::string_view* rest) {
  line = trim(line);
  if (line.substr(0, name.size()) != name) return false;
  line.remove_prefix(name.size());
  if (!line.empty() && line[0] != ' ' && line[0] != '\t' && line[0] != '\n') return false;
  *rest = trim(line);
  return true;
}

bool parse_number(std::string_view text, int64_t low, int64_t high, int64_t* out) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), *out);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && *out >= low &&
         *out <= high;
}

int last_user(const ChatRequest& request) {
  for (int i = request.messages_size() - 1; i >= 0; --i) {
    if (request.messages(i).role() == service::v1::ROLE_USER) return i;
  }
  return -1;
}

Answer say(std::string text) {
  Answer answer;
  answer.text = std::move(text);
  return answer;
}

// "/tool NAME {json}": an empty object may be left out.
void add_call(const ChatRequest& request, std::string_view rest, Answer* answer) {
  const std::string name(take_word(rest));
  const std::string arguments(trim(rest));
  if (name.empty()) {
    answer->text += "The form is: /tool NAME {json}.\n";
    return;
  }
  if (!arguments.empty()) {
    const auto parsed = nlohmann::json::parse(arguments, nullptr, false);
    if (!parsed.is_object()) {
      answer->text += "The arguments of /tool " + name +
                      " are not a JSON object: " + quote(arguments, 100) + "\n";
      return;
    }
  }
  if (answer->tool_calls.size() == kMaxCalls) return;
  common::v1::ToolCall call;
  // Unique in the conversation: the prompt grows with every turn.
  call.set_call_id("call_" + std::to_string(request.messages_size()) + "_" +
                   std::to_string(answer->tool_calls.size() + 1));
  call.set_name(name);
  call.set_arguments_json(arguments.empty() ? "{}" : arguments);
  answer->tool_calls.push_back(std::move(call));
}

Answer summarise_results(const ChatRequest& request, int first) {
  std::string text;
  int count = 0;
  for (int i = first; i < request.messages_size(); ++i) {
    const ChatMessage& message = request.messages(i);
    if (message.role() != service::v1::ROLE_TOOL) continue;
    std::string name = "the tool";
    for (int j = first; j < i; ++j) {
      for (const auto& call : request.messages(j).tool_calls()) {
        if (call.call_id() == message.tool_call_id()) name = call.name();
      }
    }
    ++count;
    text += "\n" + name + ": " + quote(message.text());
  }
  return say("Rule-based summary of " + std::to_string(count) +
             (count == 1 ? " tool result:" : " tool results:") + text);
}

// What the gateway ends its requests for a summary of older turns with.
constexpr std::string_view kSummaryWish = "Write the summary now.";
constexpr size_t kSummaryLines = 12;

bool asks_for_summary(std::string_view text) {
  return text.size() >= kSummaryWish.size() &&
         text.substr(text.size() - kSummaryWish.size()) == kSummaryWish;
}

// The beginnings of what the user said; commands in the turns are data here.
Answer summarise_turns(std::string_view text) {
  constexpr std::string_view kUser = "[user] ";
  std::string out;
  size_t count = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.substr(0, kUser.size()) != kUser) continue;
    if (++count <= kSummaryLines) out += "\n- " + quote(line.substr(kUser.size()), 60);
  }
  return say("Rule-based summary of " + std::to_string(count) + " messages of the user:" + out);
}

Answer list_tools(const ChatRequest& request) {
  if (request.tools_size() == 0) return say("No tools were offered in this turn.");
  std::string text = "Tools offered in this turn:";
  for (const auto& tool : request.tools()) {
    text += "\n" + tool.name() + ": " + quote(tool.description(), 120);
  }
  return say(text);
}

bool parse_deltas(std::string_view rest, Answer* answer) {
  return parse_number(take_word(rest), 0, kMaxDeltas, &answer->delta_count) &&
         parse_number(take_word(rest), 1, kMaxDeltaBytes, &answer->delta_bytes) &&
         trim(rest).empty();
}

}  // namespace

Answer answer_by_rules(const ChatRequest& request) {
  const int user = last_user(request);
  if (user < 0) return say(std::string(kWhoIAm) + " There was no message to answer.");
  for (int i = user + 1; i < request.messages_size(); ++i) {
    if (request.messages(i).role() == service::v1::ROLE_TOOL) {
      return summarise_results(request, user + 1);
    }
  }

  const std::string_view text = request.messages(user).text();
  std::string_view rest;
  if (asks_for_summary(text)) return summarise_turns(text);
  if (is_command(text, "/echo", &rest)) return say(std::string(rest));

  Answer calls;
  bool any_tool_line = false;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (is_command(line, "/tool", &rest)) {
      any_tool_line = true;
      add_call(request, rest, &calls);
    } else if (is_command(line, "/tools", &rest)) {
      return list_tools(request);
    } else if (is_command(line, "/help", &rest)) {
      return say(std::string(kWhoIAm) + std::string(kHelp));
    } else if (is_command(line, "/deltas", &rest)) {
      Answer answer;
      if (parse_deltas(rest, &answer)) return answer;
      return say("The form is: /deltas N M, with N up to 10000000 and M from 1 to 65536.");
    }
  }
  if (any_tool_line) return calls;
  return say(std::string(kWhoIAm) + " You wrote: \"" + quote(text) + "\"." + std::string(kHelp));
}

Answer answer_bench(const ChatRequest& request) {
  Answer answer;
  answer.delta_count = 20;
  answer.delta_bytes = 64;
  const int user = last_user(request);
  std::string_view rest;
  Answer asked;
  if (user >= 0 && is_command(request.messages(user).text(), "/deltas", &rest) &&
      parse_deltas(rest, &asked)) {
    return asked;
  }
  return answer;
}

}  // namespace palyra::embedded
