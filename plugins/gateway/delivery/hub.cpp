#include "plugins/gateway/delivery/hub.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

constexpr size_t kRecentRecords = 64;
constexpr size_t kRecentBytes = 256 * 1024;
constexpr size_t kLiveEvents = 64;

}  // namespace

void RunHub::publish(std::vector<TapeRecord> records) {
  for (auto& record : records) {
    if (record.event) {
      if (record.event->has_model_turn_started()) {
        begin_turn(record.event->model_turn_started().turn(),
                   record.event->model_turn_started().start().attempt());
      } else if (record.event->has_model_turn_finished() || record.event->has_model_turn_failed() ||
                 record.event->has_model_turn_interrupted()) {
        turn_ = {};
      }
    }
    // A record that does not follow would leave a hole: forget what was before it.
    if (!recent_.empty() && recent_.back().seq + 1 != record.seq) {
      recent_.clear();
      recent_sizes_.clear();
      recent_bytes_ = 0;
    }
    const size_t size = record.event ? record.event->ByteSizeLong() : 0;
    head_seq_ = record.seq;
    recent_bytes_ += size;
    recent_sizes_.push_back(size);
    recent_.push_back(std::move(record));
  }
  while (recent_.size() > kRecentRecords || (recent_.size() > 1 && recent_bytes_ > kRecentBytes)) {
    recent_bytes_ -= recent_sizes_.front();
    recent_sizes_.pop_front();
    recent_.pop_front();
  }
  wake();
}

void RunHub::begin_turn(uint32_t turn, uint32_t attempt) { turn_ = {turn, attempt, {}, {}}; }

void RunHub::add_text(std::string_view text) {
  turn_.text += text;
  wake();
}

void RunHub::add_reasoning(std::string_view text) {
  turn_.reasoning += text;
  wake();
}

void RunHub::show(api::RunStreamEvent event) {
  event.set_run_id(run_id_);
  event.set_session_id(session_id_);
  live_.push_back(std::move(event));
  if (live_.size() > kLiveEvents) {
    live_.pop_front();
    ++live_begin_;
  }
  wake();
}

void RunHub::set_state(api::RunState state, api::WaitReason reason) {
  if (state_ == state && wait_reason_ == reason) return;
  state_ = state;
  wait_reason_ = reason;
  changed_.notify();
  wake();
}

void RunHub::end() {
  if (std::exchange(ended_, true)) return;
  turn_ = {};
  changed_.notify();
  wake();
}

const TapeRecord* RunHub::find(uint64_t seq) const {
  if (recent_.empty() || seq < recent_.front().seq || seq > recent_.back().seq) return nullptr;
  return &recent_[static_cast<size_t>(seq - recent_.front().seq)];
}

const api::RunStreamEvent* RunHub::live(uint64_t& index) const {
  index = std::max(index, live_begin_);
  if (index >= live_end()) return nullptr;
  return &live_[static_cast<size_t>(index++ - live_begin_)];
}

Slot<bool> RunHub::news() {
  Slot<bool> slot;
  waiting_.push_back(slot);
  return slot;
}

void RunHub::wake() {
  if (waiting_.empty() || wake_posted_) return;
  wake_posted_ = true;
  executor_.post([self = shared_from_this()] {
    self->wake_posted_ = false;
    for (auto& waiter : std::exchange(self->waiting_, {})) waiter.set(true);
  });
}

}  // namespace palyra::gateway
