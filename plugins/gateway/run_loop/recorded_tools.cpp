// A run that repeats another one with recorded tools: its calls are answered from the recording.
#include "plugins/gateway/replay/recording.h"
#include "plugins/gateway/run_loop/run_loop.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {

Task<tape::RunEvent> RunLoop::recall(run::Wanted wanted) {
  tape::RunEvent event;
  auto& finished = *event.mutable_tool_call_finished();
  finished.set_ordinal(wanted.ordinal);
  finished.set_turn(wanted.turn);
  finished.set_call_index(wanted.call_index);
  finished.set_attempt(wanted.attempt);
  const tape::ReplayOf& of = state_.created.replay_of();
  tape::Recording recording;
  int64_t backoff = 100 * kNanosPerMilli;
  for (;;) {
    auto bytes = co_await environment_.text_blob(of.recording_digest());
    if (ended_) co_return tape::RunEvent();
    if (bytes.ok()) {
      static_cast<void>(recording.ParseFromString(*bytes));
      break;
    }
    if (bytes.status().code() == Code::kNotFound) break;
    co_await sleep_until(environment_.world.executor,
                         environment_.world.clock.mono_now() + backoff);
    if (ended_) co_return tape::RunEvent();
    backoff = std::min<int64_t>(backoff * 2, 5 * kNanosPerSecond);
  }
  const tape::RecordedCall* recorded =
      replay::find_recorded(recording, state_, wanted.turn, wanted.call_index);
  if (recorded != nullptr) {
    finished.set_content(recorded->content());
    finished.set_is_error(recorded->is_error());
    finished.set_provenance(recorded->provenance());
  } else {
    const auto& call = state_.turns[wanted.turn - 1].calls[wanted.call_index].call;
    finished.set_content("This call of " + call.name() + " is not in the recording of run " +
                         of.run_id() + "; nothing was executed.");
    finished.set_is_error(true);
    finished.set_provenance(palyra::common::v1::PROVENANCE_OPERATOR);
    finished.mutable_failure()->set_code(static_cast<int32_t>(Code::kNotFound));
    finished.mutable_failure()->set_message("not in the recording");
  }
  finished.set_content_size(static_cast<int64_t>(finished.content().size()));
  co_return event;
}

}  // namespace palyra::gateway
