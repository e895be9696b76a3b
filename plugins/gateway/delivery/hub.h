// RunHub: what is live of one run, for everyone who watches it.
#pragma once

#include "palyra/task.hpp"
#include "palyra/world.hpp"
#include "plugins/gateway/delivery/mapping.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::gateway {

// One run that has not ended: its newest records, the text of the turn in flight, its state. The
// run's loop writes, cursors read. Invariants: everything in it that has a sequence number is
// durable; its size is bounded by the run, not by who watches (64 records, 256 KiB, one turn's
// text, 64 live events); readers are woken from the executor, never inside a writer's call.
// On the gateway's lane. Held by shared_ptr: a cursor may outlive the run.
class RunHub : public std::enable_shared_from_this<RunHub> {
 public:
  RunHub(Executor& executor, std::string run_id, std::string session_id)
      : run_id_(std::move(run_id)),
        session_id_(std::move(session_id)),
        executor_(executor),
        changed_(executor) {}

  // For the loop.
  // Records that are durable now, in order, following head_seq().
  void publish(std::vector<TapeRecord> records);
  // Records up to here are durable but only in the journal.
  void set_head(uint64_t head_seq) { head_seq_ = head_seq; }
  // Deltas that follow belong to this attempt.
  void begin_turn(uint32_t turn, uint32_t attempt);
  void add_text(std::string_view text);
  void add_reasoning(std::string_view text);
  // Shown to whoever watches now: tool progress, heartbeats.
  void show(api::RunStreamEvent event);
  void set_state(api::RunState state, api::WaitReason reason);
  // Nothing will follow: the run has ended, or the gateway stops.
  void end();

  // For cursors.
  const std::string& run_id() const { return run_id_; }
  const std::string& session_id() const { return session_id_; }
  uint64_t head_seq() const { return head_seq_; }
  bool ended() const { return ended_; }
  api::RunState state() const { return state_; }
  api::WaitReason wait_reason() const { return wait_reason_; }
  // Null if it is no longer here: read the journal.
  const TapeRecord* find(uint64_t seq) const;
  struct Turn {
    uint32_t turn = 0;
    uint32_t attempt = 0;
    std::string text;
    std::string reasoning;
  };
  // The turn in flight; turn 0 if there is none.
  const Turn& turn() const { return turn_; }
  uint64_t live_end() const { return live_begin_ + live_.size(); }
  // The first live event at or after `index`, or null; sets `index` behind it.
  const api::RunStreamEvent* live(uint64_t& index) const;

  // State changes and the end; for those who wait for a run.
  Signal& changed() { return changed_; }

  // A slot that the next change sets, from the executor; many may wait.
  Slot<bool> news();
  // Wakes everyone who waits; they look again.
  void wake();

 private:
  const std::string run_id_;
  const std::string session_id_;
  Executor& executor_;
  Signal changed_;
  std::vector<Slot<bool>> waiting_;
  bool wake_posted_ = false;

  uint64_t head_seq_ = 0;
  std::deque<TapeRecord> recent_;  // contiguous, ends at head_seq_
  std::deque<size_t> recent_sizes_;
  size_t recent_bytes_ = 0;
  Turn turn_;
  std::deque<api::RunStreamEvent> live_;
  uint64_t live_begin_ = 0;  // index of live_.front()
  api::RunState state_ = api::RUN_STATE_UNSPECIFIED;
  api::WaitReason wait_reason_ = api::WAIT_REASON_UNSPECIFIED;
  bool ended_ = false;
};

}  // namespace palyra::gateway
