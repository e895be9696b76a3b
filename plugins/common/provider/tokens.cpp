#include "plugins/common/provider/tokens.h"

namespace palyra::provider {
namespace {
constexpr int64_t kTokensPerMessage = 4;
}  // namespace

void TokenCounter::add(std::string_view text) {
  // Without branches, so that the compiler takes many bytes at a time.
  int64_t quarters = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    quarters += (byte < 0x80 ? 1 : 0) + (byte >= 0xC0 ? 2 : 0) + (byte >= 0xE0 ? 2 : 0);
  }
  quarters_ += quarters;
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
