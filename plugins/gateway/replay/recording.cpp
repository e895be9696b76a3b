#include "plugins/gateway/replay/recording.h"

#include "plugins/gateway/policy/arguments.h"

namespace palyra::gateway::replay {

namespace tape = palyra::tape::v1;

std::string canonical_arguments(std::string_view json) {
  const auto value = policy::read_arguments(json);
  return value ? value->dump() : std::string(json);
}

tape::Recording record_of(const run::State& state) {
  tape::Recording recording;
  recording.set_run_id(state.run_id());
  for (const run::Turn& turn : state.turns) {
    for (const run::Call& call : turn.calls) {
      if (call.phase != run::CallPhase::kDone) continue;
      tape::RecordedCall& recorded = *recording.add_calls();
      recorded.set_tool(call.call.name());
      recorded.set_arguments_json(canonical_arguments(call.call.arguments_json()));
      recorded.set_content(call.content);
      recorded.set_is_error(call.is_error);
      recorded.set_provenance(call.provenance);
    }
  }
  return recording;
}

bool answers_recorded(const tape::RunCreated& created) {
  return created.has_replay_of() && created.replay_of().tools() != tape::REPLAY_TOOLS_LIVE;
}

const tape::RecordedCall* find_recorded(const tape::Recording& recording, const run::State& state,
                                        uint32_t turn, uint32_t call_index) {
  if (turn == 0 || turn > state.turns.size()) return nullptr;
  const auto& calls = state.turns[turn - 1].calls;
  if (call_index >= calls.size()) return nullptr;
  const std::string& tool = calls[call_index].call.name();
  const std::string arguments = canonical_arguments(calls[call_index].call.arguments_json());
  size_t before = 0;
  for (uint32_t t = 1; t <= turn; ++t) {
    const auto& earlier = state.turns[t - 1].calls;
    for (uint32_t i = 0; i < earlier.size() && (t < turn || i < call_index); ++i) {
      if (earlier[i].call.name() == tool &&
          canonical_arguments(earlier[i].call.arguments_json()) == arguments) {
        ++before;
      }
    }
  }
  for (const tape::RecordedCall& recorded : recording.calls()) {
    if (recorded.tool() != tool || recorded.arguments_json() != arguments) continue;
    if (before-- == 0) return &recorded;
  }
  return nullptr;
}

}  // namespace palyra::gateway::replay
