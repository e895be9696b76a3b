// The tape of a run as evidence: where a kill cut it, and what its tool calls promised. Pure.
#pragma once

#include "palyra/tape/v1/run.pb.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace palyra::chaos {

namespace common = palyra::common::v1;
namespace tape = palyra::tape::v1;

struct Record {
  uint64_t seq = 0;
  int64_t time_ns = 0;  // wall
  std::string type;
  tape::RunEvent event;
};

struct Tape {
  std::string run_id;
  std::vector<Record> records;
};

// Where a kill found a run, or the daemon.
enum class Phase {
  kAdmission,  // sent, not acknowledged
  kModelTurn,  // from here to kCompaction: a started record without its result
  kToolNone,
  kToolKeyed,
  kToolOpaque,
  kToolVerifiable,
  kApproval,
  kTimer,
  kCompaction,
  kQueued,    // between runs: behind another run
  kFinished,  // between runs: the end was durable
  kHistory,   // a branch, a rewind or a compaction was asked for and not acknowledged
  kRecovery,  // the daemon was starting
};
constexpr int kPhases = static_cast<int>(Phase::kRecovery) + 1;

const char* name_of(Phase phase);
// A record said that an effect had started, and none how it ended.
bool is_between(Phase phase);

// What was open on the tape at that time; one of kQueued, kFinished if nothing was; empty if the
// run was not there yet.
std::set<Phase> phases_at(const Tape& tape, int64_t wall_ns);

// One tool call, from proposal to result.
struct Call {
  std::string run_id;
  std::string name;
  std::string arguments;  // JSON
  std::string key;        // idempotency key; empty = never started
  common::EffectClass effect = common::EFFECT_CLASS_UNSPECIFIED;
  uint32_t starts = 0;  // executions, without verifications
  uint32_t verifies = 0;
  bool finished = false;  // with a result
  bool failed = false;    // that result is an error
  bool unknown = false;   // outcome_unknown
  std::string content;
};

struct Evidence {
  // In order of their proposals, by (turn, index).
  std::map<std::pair<uint32_t, uint32_t>, Call> calls;
  // Last decision by approval id.
  std::map<std::string, tape::ApprovalVerdict> approvals;
  bool cancelled_asked = false;
  bool terminal = false;
  uint32_t resumed = 0;
  // Broken rules of tapes: a result without a start, a second result, records after the end, a key
  // that changed.
  std::vector<std::string> problems;
};

Evidence examine(const Tape& tape);

}  // namespace palyra::chaos
