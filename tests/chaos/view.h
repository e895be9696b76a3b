// RunView: what one client saw of one run, over all its streams, checked while it is read.
#pragma once

#include "palyra/gateway/v1/gateway.pb.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace palyra::chaos {

namespace api = palyra::gateway::v1;

// A crash or a disconnect leaves it as it is; place() is where the next stream goes on. What the
// server then sends must fit on without gap or repetition: what does not is in `problems`.
class RunView {
 public:
  struct Text {
    uint32_t attempt = 0;
    std::string text;
  };

  void see(const api::RunStreamEvent& event);
  api::RunAttach place() const;

  bool known() const { return !run_id.empty(); }
  bool terminal() const {
    return status.state() == api::RUN_STATE_COMPLETED || status.state() == api::RUN_STATE_FAILED ||
           status.state() == api::RUN_STATE_CANCELLED;
  }
  // What was shown of the last turn.
  const std::string& text() const;

  std::string run_id;
  std::string session_id;
  uint64_t seq = 0;  // of the last durable event
  uint32_t turn = 0;
  std::map<uint32_t, Text> texts;  // by turn
  std::map<uint32_t, Text> reasonings;
  api::RunStatus status;
  std::vector<std::string> durable;    // the durable events, serialised
  std::vector<std::string> approvals;  // asked, in order
  uint32_t restarts = 0;               // turn_restarted
  uint32_t compactions = 0;            // that ended well
  bool quiet = false;                  // its answer is not streamed: the run only sums up
  std::vector<std::string> problems;

 private:
  void see_delta(const api::TextDelta& delta, std::map<uint32_t, Text>& into, const char* what);
  void problem(std::string sentence);
};

}  // namespace palyra::chaos
