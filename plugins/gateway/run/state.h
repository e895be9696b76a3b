// What a run is: a value, the fold of its tape. Nothing here knows a clock, a journal or a thread.
#pragma once

#include "palyra/gateway/v1/gateway.pb.h"
#include "palyra/tape/v1/run.pb.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace palyra::gateway::run {

namespace api = palyra::gateway::v1;
namespace common = palyra::common::v1;
namespace service = palyra::service::v1;
namespace tape = palyra::tape::v1;

// Version of decide/evolve; goes up when decide() wants something else for a tape that exists.
constexpr uint32_t kLoopVersion = 2;

enum class EffectKind : uint8_t {
  kContext,
  kModel,
  kPolicy,
  kApproval,
  kTool,
  kTimer,
  kCompaction
};

// An effect that was started and has no result.
struct Effect {
  EffectKind kind = EffectKind::kContext;
  uint64_t ordinal = 0;
  uint32_t attempt = 0;
  common::EffectClass effect_class = common::EFFECT_CLASS_NONE;
  uint32_t turn = 0;        // 1, 2, ...
  uint32_t call_index = 0;  // for kPolicy, kApproval, kTool
  bool verify = false;      // for kTool: asks whether the earlier attempt happened
  int64_t reserved_tokens = 0;
  int64_t started_ns = 0;   // wall time of the started record
  std::string approval_id;  // for kApproval
  int64_t due_ms = 0;       // for kApproval and kTimer: wall time of expiry
};

// The ordinal that an effect keeps over its attempts.
struct Slot {
  uint64_t ordinal = 0;  // 0 = never started
  uint32_t attempt = 0;  // the last one started
};

// Where a proposed call is.
enum class CallPhase : uint8_t {
  kProposed,  // policy has not answered
  kAsk,       // policy asks; nobody has answered
  kApproved,  // approved; policy has not confirmed
  kReady,     // may be executed
  kDone,      // has what the model will be told
};

struct Call {
  common::ToolCall call;
  CallPhase phase = CallPhase::kProposed;
  Slot policy;    // of the current round
  Slot approval;  // of the current question
  Slot tool;
  uint32_t round = 1;               // of the policy
  tape::PolicyEvaluated judgement;  // the last
  tape::PolicyEvaluated asked;      // the one that asked
  uint32_t interruptions = 0;       // attempts of the tool that were cut off
  bool check_first = false;         // the next start only verifies

  // What the model is told, once kDone.
  std::string content;
  std::string blob_digest;  // of the full content if it was too large
  bool is_error = false;
  bool unknown = false;   // may or may not have happened
  bool executed = false;  // the tool was started
  common::Provenance provenance = common::PROVENANCE_UNTRUSTED;
};

enum class TurnPhase : uint8_t {
  kContext,  // what the model will see is not known
  kCompact,  // older turns of the session are to be summarised first
  kModel,    // the model has not answered
  kWaiting,  // a failed attempt waits for its timer
  kTools,    // the model proposed calls
  kAnswer,   // the model answered without calls; the contract has not judged
  kClosed,   // rejected, or all calls are done and the next turn has begun
};

struct Turn {
  uint32_t number = 1;
  TurnPhase phase = TurnPhase::kContext;
  Slot context;
  Slot model;
  Slot timer;
  tape::ContextGathered gathered;  // the last
  // Why the turn waits, or waited, for a compaction.
  tape::CompactionTrigger compact = tape::COMPACTION_TRIGGER_UNSPECIFIED;
  // The answer of the attempt that ended well.
  std::string text;
  std::string reasoning;
  service::FinishReason finish_reason = service::FINISH_REASON_UNSPECIFIED;
  std::vector<Call> calls;
  uint64_t finished_seq = 0;  // of model_turn_finished; 0 = not yet
  // Attempts that did not.
  uint32_t failures = 0;
  uint32_t interruptions = 0;
  uint32_t same_failures = 0;  // the last one and its equals before it
  common::Failure failure;     // the last
  service::FailureKind failure_kind = service::FAILURE_KIND_UNSPECIFIED;
  int64_t retry_after_ms = 0;
  bool failed = false;   // the failure ends the run
  std::string rejected;  // by the final-answer contract: why
  bool cut = false;      // by a message that interrupted: `text` is what had been shown
};

// A message that joined the run after its first one.
struct Input {
  tape::InputAdded added;
  uint64_t seq = 0;
  uint32_t after_turn = 0;  // it follows this turn in the transcript; 0 = the first message
};

// Older turns of the session summarised by a model, or as many of them as one request has room for:
// then another one follows at once. Failed or finished, it is not tried again for the same reason
// in the same run.
struct Compaction {
  enum class Outcome : uint8_t { kNone, kFinished, kFailed };
  tape::CompactionTrigger trigger = tape::COMPACTION_TRIGGER_UNSPECIFIED;
  Slot slot;
  uint32_t interruptions = 0;
  Outcome outcome = Outcome::kNone;
  tape::CompactionFinished finished;
  common::Failure failure;
};

enum class Phase : uint8_t { kNone, kQueued, kActive, kCompleted, kCancelled, kFailed };

struct State {
  Phase phase = Phase::kNone;
  tape::RunCreated created;
  tape::RunStarted started;
  uint64_t fence = 0;  // of the last run_started or run_resumed
  std::vector<Turn> turns;
  std::vector<Input> inputs;   // in order of acceptance
  int64_t start_after_ms = 0;  // wall time until which a QUEUED run may wait for more; 0 = none
  std::vector<Compaction> compactions;   // only the last may be under way
  std::map<uint64_t, Effect> in_flight;  // by ordinal
  uint64_t next_ordinal = 1;
  uint64_t last_seq = 0;
  int64_t last_ns = 0;  // wall time of the last record

  common::Usage usage;          // of finished attempts
  int64_t settled_tokens = 0;   // including what unfinished attempts had reserved
  int64_t reserved_tokens = 0;  // of attempts in flight
  bool overrun = false;         // a provider reported more than was reserved
  uint32_t tool_calls = 0;      // proposed so far
  int64_t running_ns = 0;       // up to last_ns

  // Failures of calls by SHA-256(tool, arguments): the last error's digest and how often in a row.
  struct Repeat {
    std::string error;
    uint32_t count = 0;
  };
  std::map<std::string, Repeat> repeats;
  std::string repeated_tool;  // the tool whose repeats reached the limit; empty = none

  std::optional<tape::CancelRequested> cancel;
  bool time_is_up = false;
  uint32_t rejections = 0;  // answers refused
  // Not empty: the tape holds something this version cannot follow. Ends only by cancel.
  std::string corrupt;

  std::string final_text;   // of a completed run
  common::Failure failure;  // of a failed run

  bool exists() const { return phase != Phase::kNone; }
  bool terminal() const { return phase >= Phase::kCompleted; }
  const std::string& run_id() const { return created.run_id(); }
  // Made to compact the session's history: has no input and adds no turn.
  bool compacts() const { return created.purpose() == tape::RUN_PURPOSE_COMPACT; }
  const tape::RunLimits& limits() const { return created.limits(); }
  // Cancelled, out of time, or refused by a limit: nothing new is begun.
  bool stopping() const { return cancel.has_value() || time_is_up || !repeated_tool.empty(); }
  const Turn* turn() const { return turns.empty() ? nullptr : &turns.back(); }
  Turn* turn() { return turns.empty() ? nullptr : &turns.back(); }
};

// As clients see it.
api::RunState run_state(const State& state);
// UNSPECIFIED unless WAITING.
api::WaitReason wait_reason(const State& state);
// Limits with 0 replaced by the documented default.
tape::RunLimits with_defaults(tape::RunLimits limits);
// When the running time of the run is up if it stays RUNNING from its last record on, wall time in
// ns; INT64_MAX while it is not RUNNING. The shell then appends limit_reached.
int64_t running_time_ends_ns(const State& state);
// What the session's partial text belongs to: the attempt of the model turn in flight; null if
// none.
const Effect* model_in_flight(const State& state);

}  // namespace palyra::gateway::run
