// Whether a tape is what the loop makes of it. Pure.
#pragma once

#include "palyra/gateway/v1/replay.pb.h"
#include "plugins/gateway/run/decide.h"

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace palyra::gateway::replay {

namespace api = palyra::gateway::v1;
namespace tape = palyra::tape::v1;

// A record of a run's tape.
struct Record {
  uint64_t seq = 0;
  int64_t wall_ns = 0;
  tape::RunEvent event;
};

// Follows a tape record by record. Where the shell asked decide(), what it wanted must be there, in
// its order and with its content; what comes from the world (time, ids, results, fences, the
// session's head) is taken from the tape. The shell's rhythm: an opening or a batch of records from
// outside, then decisions until there is nothing more to decide, all in one commit. So a decision,
// once begun, is followed to its end without a record from outside in between.
// One thread at a time.
class Checker {
 public:
  explicit Checker(run::SchemaCheck schema_check);

  // Records in order; an event that is not set is one that this version does not know.
  void add(uint64_t seq, int64_t wall_ns, const tape::RunEvent& event);
  // The payload is gone: from here on nothing can be told.
  void add_erased(uint64_t seq);
  // After the last record. An unfinished tape ends where nothing more is wanted; that of a run
  // which is known to be `over` ends with its end, in every version.
  api::ReplayReport finish(bool over = false);

  // The fold so far.
  const run::State& state() const { return state_; }

 private:
  // What the next record must be.
  struct Expected {
    enum class Kind : uint8_t { kEvent, kStart, kResult } kind = Kind::kEvent;
    tape::RunEvent event;  // kEvent: with what the world adds left empty
    run::Wanted wanted;    // kStart: built when it is its turn; kResult: of this effect
  };

  void load(const run::Decision& decision);
  void expect_recovery(const tape::RunEvent& resumed);
  void compare(uint64_t seq, const tape::RunEvent& event);
  void compare_result(uint64_t seq, const run::Wanted& wanted, const tape::RunEvent& event);
  void check_outside(uint64_t seq, const tape::RunEvent& event);
  tape::RunEvent build(const Expected& expected, const tape::RunEvent& recorded) const;
  void diverge(uint64_t seq, std::string wanted, std::string recorded,
               std::vector<std::string> fields);

  const run::SchemaCheck schema_check_;
  run::State state_;
  std::deque<Expected> expected_;
  bool settling_ = false;  // a decision was begun and decide() has not said that it is idle
  bool erased_ = false;
  api::ReplayReport report_;
};

// Of a whole tape.
api::ReplayReport check(const std::vector<Record>& records, const run::SchemaCheck& schema_check);

// One line for people: "record 12: wanted tool_call_started fs.write #7, recorded run_failed".
std::string to_line(const api::Divergence& divergence);

}  // namespace palyra::gateway::replay
