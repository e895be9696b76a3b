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

std::string queue_word(tape::v1::QueueMode mode) {
  if (mode == tape::v1::QUEUE_MODE_UNSPECIFIED) return "";
  std::string text = word(tape::v1::QueueMode_Name(mode), "QUEUE_MODE_");
  std::replace(text.begin(), text.end(), ' ', '-');
  return text;
}

tape::v1::QueueMode queue_mode(const std::string& word) {
  for (const auto mode : {tape::v1::QUEUE_MODE_FOLLOW_UP, tape::v1::QUEUE_MODE_COLLECT,
                          tape::v1::QUEUE_MODE_STEER, tape::v1::QUEUE_MODE_INTERRUPT}) {
    if (queue_word(mode) == word) return mode;
  }
  return tape::v1::QUEUE_MODE_UNSPECIFIED;
}

std::string counted(uint64_t number, const std::string& noun) {
  return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
}

}  // namespace palyra::cli
