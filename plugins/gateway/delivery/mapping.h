// From records of a run's tape to what clients see: exactly one event a record.
#pragma once

#include "palyra/gateway/v1/gateway.pb.h"
#include "palyra/tape/v1/run.pb.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace palyra::gateway {

namespace api = palyra::gateway::v1;
namespace tape = palyra::tape::v1;

// A committed record of a run's tape, decoded. `event` is null if it was erased or cannot be read.
struct TapeRecord {
  uint64_t seq = 0;
  int64_t wall_time_ns = 0;
  std::string type;
  std::shared_ptr<const tape::RunEvent> event;
};

// The record type of an event: the name of its set field; empty if none is set.
std::string_view event_type(const tape::RunEvent& event);

bool is_terminal(const tape::RunEvent& event);

// The event a client gets for a record: a typed body where gateway.proto has one, else a tape entry
// that names the type.
api::RunStreamEvent to_stream_event(const std::string& run_id, const std::string& session_id,
                                    const TapeRecord& record);

}  // namespace palyra::gateway
