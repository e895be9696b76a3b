#include "plugins/gateway/run/answer_contract.h"

#include <array>
#include <cctype>

namespace palyra::gateway::run {
namespace {

// A promise is short.
constexpr size_t kLongestPromise = 400;

// First words of a sentence that announces the speaker's own next step, and nothing else.
constexpr std::array<std::string_view, 20> kOpenings = {
    "i will now ",        "i'll now ",        "let me ",        "i am going to ",
    "i'm going to ",      "now i will ",      "now i'll ",      "next, i will ",
    "next, i'll ",        "first, i will ",   "first, i'll ",   "i will start by ",
    "i'll start by ",     "i will begin by ", "i'll begin by ", "i will go ahead and ",
    "i'll go ahead and ", "give me a moment", "one moment",     "working on it"};

// What leads into such a sentence without being an answer.
constexpr std::array<std::string_view, 9> kPreambles = {
    "sure", "okay", "ok", "certainly", "of course", "great", "alright", "understood", "got it"};

// Said as a courtesy at the end of a finished answer.
constexpr std::array<std::string_view, 4> kCourtesies = {"let me know", "let me summarize",
                                                         "let me explain", "let me be clear"};

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

std::string_view trim(std::string_view text) {
  const char* blank = " \t\r\n";
  const size_t first = text.find_first_not_of(blank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

// Lower case, typographic apostrophes as ASCII.
std::string plain(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 3) == "\xE2\x80\x99") {
      out += '\'';
      i += 2;
    } else {
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(text[i])));
    }
  }
  return out;
}

bool is_preamble(std::string_view sentence) {
  for (const std::string_view word : kPreambles) {
    if (sentence == word) return true;
  }
  return false;
}

bool announces(std::string_view sentence) {
  for (const std::string_view courtesy : kCourtesies) {
    if (starts_with(sentence, courtesy)) return false;
  }
  for (const std::string_view opening : kOpenings) {
    if (starts_with(sentence, opening)) return true;
  }
  return false;
}

}  // namespace

bool is_promise(std::string_view text) {
  text = trim(text);
  if (text.empty() || text.size() > kLongestPromise) return false;
  if (text.find_first_of("?`{}|\n") != std::string_view::npos) return false;
  const std::string words = plain(text);
  bool announced = false;
  std::string_view rest = words;
  while (!rest.empty()) {
    // A sentence ends at a mark before a blank, so that "main.cpp" is one word; a preamble also at
    // a comma.
    size_t end = 0;
    while (end < rest.size()) {
      const bool last = end + 1 == rest.size() || rest[end + 1] == ' ';
      if (last && (rest[end] == '.' || rest[end] == '!' || rest[end] == ':')) break;
      if (rest[end] == ',' && is_preamble(trim(rest.substr(0, end)))) break;
      ++end;
    }
    std::string_view sentence = trim(rest.substr(0, end));
    while (!sentence.empty() && sentence.back() == '.') sentence.remove_suffix(1);
    rest = end < rest.size() ? trim(rest.substr(end + 1)) : std::string_view();
    if (sentence.empty() || is_preamble(sentence)) continue;
    if (!announces(sentence)) return false;
    // "Let me check: 42" answers after the colon; the rest is judged as its own sentence.
    announced = true;
  }
  return announced;
}

std::string judge_answer(std::string_view text, service::FinishReason finish_reason,
                         std::string_view schema_json, const SchemaCheck& schema_check) {
  if (finish_reason == service::FINISH_REASON_FILTERED) {
    return "The answer was stopped by the provider's content filter; answer without what it stops.";
  }
  if (finish_reason == service::FINISH_REASON_LENGTH) {
    return "The answer was cut off by its length limit; give a complete and shorter answer.";
  }
  if (trim(text).empty()) return "The answer is empty; give the final answer.";
  if (!schema_json.empty()) {
    if (!schema_check) return "The answer cannot be checked against its JSON Schema.";
    const std::string objection = schema_check(schema_json, text);
    if (objection.empty()) return {};
    return "The answer must be only JSON that matches the schema asked for: " + objection;
  }
  if (is_promise(text)) {
    return "The answer announces work instead of giving its result; do the work with the tools, "
           "then "
           "answer.";
  }
  return {};
}

}  // namespace palyra::gateway::run
