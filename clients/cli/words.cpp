#include "clients/cli/words.h"

#include <algorithm>
#include <cctype>

namespace palyra::cli {

namespace {
// "RUN_STATE_COMPLETED" without its prefix, in lower case, spaces for underscores.
std::string word(const std::string& name, const std::string& prefix) {
  std::string text = name.rfind(prefix, 0) == 0 ? name.substr(prefix.size()) : name;
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
    return c == '_' ? ' ' : static_cast<char>(std::tolower(c));
  });
  return text;
}
}  // namespace

std::string state_words(gateway::v1::RunState state, gateway::v1::WaitReason reason) {
  std::string text = word(gateway::v1::RunState_Name(state), "RUN_STATE_");
  if (state == gateway::v1::RUN_STATE_WAITING) {
    text += " (" + word(gateway::v1::WaitReason_Name(reason), "WAIT_REASON_") + ")";
  }
  return text;
}

}  // namespace palyra::cli
