// A scripted conversation: what the provider says, from a YAML file. The format is in README.md.
#pragma once

#include "palyra/service/v1/provider.pb.h"
#include "palyra/status.hpp"
#include "plugins/providers/embedded/answer.h"

#include <optional>
#include <regex>
#include <string>
#include <vector>

namespace palyra::embedded {

// What a step looks at. All given conditions must hold; none given matches every turn.
struct StepMatch {
  enum class In { kNewest, kUser, kTool };
  // kNewest: the tool results that came after the last user message, or else that message.
  In in = In::kNewest;
  std::optional<std::string> contains;
  std::optional<std::string> regex_text;
  std::optional<std::regex> regex;
  // 1 = the first turn of the conversation: one more than the assistant messages in the prompt.
  std::optional<int64_t> turn;
};

struct Step {
  int line = 0;
  StepMatch match;
  bool once = false;
  Answer answer;
};

// Holds which `once` steps were used: state of one instance, not of a conversation. On the lane.
class Script {
 public:
  // Errors: INVALID_ARGUMENT with "FILE:LINE: ...".
  static Result<Script> parse(const std::string& yaml, const std::string& file_name);
  // Reads the file (at most 4 MiB). Errors: as parse, NOT_FOUND.
  static Result<Script> load(const std::string& path);

  // The answer of the first step that matches and is not used up; none = the rules answer.
  std::optional<Answer> next(const service::v1::ChatRequest& request);

  size_t size() const { return steps_.size(); }

 private:
  std::vector<Step> steps_;
  std::vector<bool> used_;
};

}  // namespace palyra::embedded
