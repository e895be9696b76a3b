#include "plugins/common/provider/tokens.h"

namespace palyra::provider {
namespace {
constexpr int64_t kTokensPerMessage = 4;
}  // namespace

void TokenCounter::add(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      quarters_ += 1;
    } else if (byte >= 0xE0) {
      quarters_ += 4;
    } else if (byte >= 0xC0) {
      quarters_ += 2;
    }
  }
}

int64_t estimate_tokens(std::string_view text) {
  TokenCounter counter;
  counter.add(text);
  return counter.tokens();
}

int64_t estimate_prompt_tokens(const service::v1::ChatRequest& request) {
  TokenCounter counter;
  for (const auto& message : request.messages()) {
    counter.add_tokens(kTokensPerMessage);
    counter.add(message.text());
    for (const auto& call : message.tool_calls()) {
      counter.add(call.name());
      counter.add(call.arguments_json());
    }
  }
  for (const auto& tool : request.tools()) {
    counter.add_tokens(kTokensPerMessage);
    counter.add(tool.name());
    counter.add(tool.description());
    counter.add(tool.input_schema_json());
  }
  counter.add(request.response_schema_json());
  return counter.tokens();
}

}  // namespace palyra::provider
