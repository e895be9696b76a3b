// One running turn of the embedded provider: playback under credits, delays and cancel.
#pragma once

#include "palyra/world.hpp"
#include "plugins/common/provider/turn_sink.h"
#include "plugins/providers/embedded/playback.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace palyra::embedded {

struct TurnSettings {
  std::string model;
  std::string request_id;
  // Milliseconds before each event; at 0 no timer is ever set.
  int64_t delay_ms = 0;
  // Milliseconds to the first event.
  int64_t first_token_timeout_ms = 60'000;
};

// Everything runs on the lane. Ends exactly once (finish or fail on the sink), then calls `ended`
// and does nothing more. Without credits it waits for grant() and costs nothing.
class Turn : public std::enable_shared_from_this<Turn> {
 public:
  Turn(const Clock& clock, Executor& executor, Playback playback, TurnSettings settings,
       std::unique_ptr<provider::TurnSink> sink, std::function<void()> ended);

  void start(uint32_t credits);
  void grant(uint32_t credits);
  // Ends CANCELLED, from the lane, not inside this call.
  void cancel();

 private:
  void post_pump();
  void pump();
  // True if it is time for the next event; otherwise a timer was set.
  bool delay_over();
  void wait_until(int64_t when, std::function<void()> then);
  void time_out();
  void end(const std::function<void()>& say);

  const Clock& clock_;
  Executor& executor_;
  Playback playback_;
  TurnSettings settings_;
  std::unique_ptr<provider::TurnSink> sink_;
  std::function<void()> ended_;
  uint64_t credits_ = 0;
  int64_t started_ns_ = 0;
  int64_t due_ns_ = 0;  // 0 = the next event has no time yet
  TimerId timer_ = 0;
  bool posted_ = false;
  bool any_event_ = false;
  bool cancelled_ = false;
  bool done_ = false;
};

}  // namespace palyra::embedded
