#include "plugins/common/provider/tokens.h"

#include <gtest/gtest.h>

#include <string>

namespace palyra::provider {
namespace {

TEST(Tokens, FourAsciiBytesMakeOne) {
  EXPECT_EQ(estimate_tokens(""), 0);
  EXPECT_EQ(estimate_tokens("a"), 1);
  EXPECT_EQ(estimate_tokens("abcd"), 1);
  EXPECT_EQ(estimate_tokens("abcde"), 2);
}

TEST(Tokens, WiderScriptsCostMoreThanTheirCharactersInAscii) {
  EXPECT_EQ(estimate_tokens("дом"), 2);
  EXPECT_EQ(estimate_tokens("日本語"), 3);
}

TEST(Tokens, PiecesAddUpToTheWhole) {
  const std::string text = "Ahoj světe, 日本語 and plain words";
  TokenCounter pieces;
  for (const char c : text) pieces.add(std::string_view(&c, 1));
  EXPECT_EQ(pieces.tokens(), estimate_tokens(text));
}

TEST(Tokens, APromptCountsToolsAndCallsToo) {
  service::v1::ChatRequest request;
  request.add_messages()->set_text("hello");
  const int64_t plain = estimate_prompt_tokens(request);
  request.add_tools()->set_input_schema_json(R"({"type":"object"})");
  EXPECT_GT(estimate_prompt_tokens(request), plain);
}

}  // namespace
}  // namespace palyra::provider
