#include "plugins/gateway/delivery/cursor.h"

#include "plugins/common/utf8/utf8.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

// Bytes of one delta event at most: merging must not build a message of any size.
constexpr size_t kDeltaBytes = 64 * 1024;
constexpr uint32_t kPageRecords = 64;
constexpr uint64_t kPageBytes = 256 * 1024;

// Shared with a waiting next(), so that the subscription may go while that is suspended.
class CursorState : public std::enable_shared_from_this<CursorState> {
 public:
  CursorState(Journal& journal, std::shared_ptr<RunHub> hub, Place place)
      : journal_(journal), hub_(std::move(hub)), place_(place), live_(hub_->live_end()) {}

  Task<std::optional<api::RunStreamEvent>> next() {
    const auto self = shared_from_this();
    while (!closed_) {
      if (!ready_.empty()) {
        api::RunStreamEvent event = std::move(ready_.front());
        ready_.pop_front();
        co_return event;
      }
      if (done_) break;
      if (place_.next_seq <= hub_->head_seq()) {
        if (const TapeRecord* record = hub_->find(place_.next_seq)) {
          page_.clear();
          if (unnamed(*record)) {
            const bool found = co_await find_names(*record->event, record->seq);
            if (!found) break;
            continue;
          }
          take(*record);
        } else {
          const bool more = co_await read_page();
          if (!more) break;
        }
        continue;
      }
      if (take_live()) continue;
      if (take_end()) continue;
      if (hub_->ended()) break;
      co_await hub_->news();
    }
    done_ = true;
    co_return std::nullopt;
  }

  void close() {
    closed_ = true;
    hub_->wake();
  }

 private:
  api::RunStreamEvent live_event() const {
    api::RunStreamEvent event;
    event.set_run_id(hub_->run_id());
    event.set_session_id(hub_->session_id());
    return event;
  }

  void add_deltas(std::string_view text, uint64_t& offset, bool reasoning) {
    while (offset < text.size()) {
      std::string_view part = text.substr(static_cast<size_t>(offset));
      if (part.size() > kDeltaBytes) part = utf8::prefix(part, kDeltaBytes);
      api::RunStreamEvent event = live_event();
      auto& delta = reasoning ? *event.mutable_reasoning_delta() : *event.mutable_model_delta();
      delta.set_turn(place_.turn);
      delta.set_attempt(place_.attempt);
      delta.set_offset(offset);
      delta.set_text(std::string(part));
      offset += part.size();
      ready_.push_back(std::move(event));
      // Live text is taken again from the hub; a record's text is taken whole.
    }
  }

  // The client's text belongs to (turn, attempt) from now on.
  void enter_turn(uint32_t turn, uint32_t attempt) {
    if (place_.turn > turn || (place_.turn == turn && place_.attempt >= attempt)) return;
    place_.turn = turn;
    place_.attempt = attempt;
    place_.offset = 0;
    place_.reasoning_offset = 0;
    if (attempt > 1) {
      api::RunStreamEvent event = live_event();
      event.mutable_turn_restarted()->set_turn(turn);
      event.mutable_turn_restarted()->set_attempt(attempt);
      ready_.push_back(std::move(event));
    }
  }

  void take(const TapeRecord& record) {
    if (record.event) {
      const tape::RunEvent& event = *record.event;
      if (event.has_model_turn_finished()) {
        const auto& finished = event.model_turn_finished();
        enter_turn(finished.turn(), finished.attempt());
        if (place_.turn == finished.turn() && place_.attempt == finished.attempt()) {
          add_deltas(finished.reasoning(), place_.reasoning_offset, true);
          add_deltas(finished.text(), place_.offset, false);
        }
      }
      if (event.has_context_gathered()) interrupted_ = false;
      if (event.has_input_added() && event.input_added().mode() == tape::QUEUE_MODE_INTERRUPT) {
        interrupted_ = true;
      }
      if (event.has_model_turn_interrupted() && interrupted_) {
        // The turn is not made again: what was shown of it stands, to its end.
        const auto& cut = event.model_turn_interrupted();
        enter_turn(cut.turn(), cut.attempt());
        if (place_.turn == cut.turn() && place_.attempt == cut.attempt()) {
          add_deltas(cut.partial_text(), place_.offset, false);
        }
      }
      if (event.has_policy_started() && event.policy_started().call_index() < kNames) {
        const auto& started = event.policy_started();
        remember_name(started.turn(), started.call_index(), started.call().name());
      }
    }
    if (!record.event) erased_ = true;
    api::RunStreamEvent out = to_stream_event(hub_->run_id(), hub_->session_id(), record);
    if (out.has_status()) {
      shown_state_ = out.status().state();
      shown_reason_ = api::WAIT_REASON_UNSPECIFIED;
    }
    if (out.has_tool_result()) {
      out.mutable_tool_result()->set_name(
          name_of(out.tool_result().turn(), out.tool_result().call_index()));
    }
    ready_.push_back(std::move(out));
    if (record.event) {
      if (record.event->has_model_turn_started()) {
        const auto& started = record.event->model_turn_started();
        enter_turn(started.turn(), started.start().attempt());
      }
      if (is_terminal(*record.event)) done_ = true;
    }
    place_.next_seq = record.seq + 1;
  }

  // What is not on the tape. True if there was something.
  bool take_live() {
    const RunHub::Turn& turn = hub_->turn();
    if (turn.turn != 0) {
      enter_turn(turn.turn, turn.attempt);
      if (place_.turn == turn.turn && place_.attempt == turn.attempt) {
        add_deltas(turn.reasoning, place_.reasoning_offset, true);
        add_deltas(turn.text, place_.offset, false);
      }
    }
    const bool live_state =
        hub_->state() == api::RUN_STATE_RUNNING || hub_->state() == api::RUN_STATE_WAITING;
    if (live_state && (hub_->state() != shown_state_ || hub_->wait_reason() != shown_reason_)) {
      shown_state_ = hub_->state();
      shown_reason_ = hub_->wait_reason();
      api::RunStreamEvent event = live_event();
      event.mutable_status()->set_state(shown_state_);
      event.mutable_status()->set_wait_reason(shown_reason_);
      ready_.push_back(std::move(event));
    }
    while (const api::RunStreamEvent* event = hub_->live(live_)) ready_.push_back(*event);
    return !ready_.empty();
  }

  // The end of a run whose last record is erased: the state alone. True if there was one.
  bool take_end() {
    const api::RunState state = hub_->state();
    const bool over = state == api::RUN_STATE_COMPLETED || state == api::RUN_STATE_CANCELLED ||
                      state == api::RUN_STATE_FAILED;
    if (!hub_->ended() || !over || !erased_) return false;
    erased_ = false;
    api::RunStreamEvent event = live_event();
    event.mutable_status()->set_state(state);
    ready_.push_back(std::move(event));
    return true;
  }

  // Takes the next record from the journal. False ends the subscription.
  Task<bool> read_page() {
    if (page_.empty()) {
      service::v1::ReadRequest request;
      request.set_stream("run/" + hub_->run_id());
      request.set_from_seq(place_.next_seq);
      request.set_limit(kPageRecords);
      request.set_max_bytes(kPageBytes);
      auto page = co_await journal_.read(std::move(request));
      if (closed_) co_return false;
      if (!page.ok()) {
        api::RunStreamEvent event = live_event();
        event.mutable_error()->set_code(static_cast<int32_t>(page.status().code()));
        event.mutable_error()->set_message(page.status().message());
        event.mutable_error()->set_retryable(true);
        ready_.push_back(std::move(event));
        done_ = true;
        co_return true;
      }
      for (auto& stored : *page->mutable_records()) {
        TapeRecord record;
        record.seq = stored.seq();
        record.wall_time_ns = stored.wall_time_ns();
        record.type = stored.type();
        auto event = std::make_shared<tape::RunEvent>();
        if (!stored.erased() && event->ParseFromString(stored.payload())) {
          record.event = std::move(event);
        }
        page_.push_back(std::move(record));
      }
      if (page_.empty()) co_return false;
    }
    if (unnamed(page_.front())) {
      const TapeRecord record = page_.front();
      const bool found = co_await find_names(*record.event, record.seq);
      co_return found;
    }
    const TapeRecord record = std::move(page_.front());
    page_.pop_front();
    take(record);
    co_return true;
  }

  // A result whose proposal this client did not get from here: it attached behind it.
  bool unnamed(const TapeRecord& record) const {
    if (!record.event) return false;
    const auto [turn, index] = call_of(*record.event);
    return turn != 0 && index < kNames && turn != searched_turn_ && name_of(turn, index).empty();
  }
  static std::pair<uint32_t, uint32_t> call_of(const tape::RunEvent& event) {
    if (event.has_tool_call_finished()) {
      return {event.tool_call_finished().turn(), event.tool_call_finished().call_index()};
    }
    if (event.has_tool_call_unknown()) {
      return {event.tool_call_unknown().turn(), event.tool_call_unknown().call_index()};
    }
    return {0, 0};
  }

  // Reads the proposals of the result's turn, which are behind the end of its model turn. False
  // ends the subscription.
  Task<bool> find_names(tape::RunEvent result, uint64_t seq) {
    const uint32_t turn = call_of(result).first;
    searched_turn_ = turn;
    uint64_t from = seq - 1;
    while (from > 0) {
      service::v1::ReadRequest request;
      request.set_stream("run/" + hub_->run_id());
      request.set_from_seq(from);
      request.set_limit(kPageRecords);
      request.set_max_bytes(kPageBytes);
      request.set_descending(true);
      auto page = co_await journal_.read(std::move(request));
      if (closed_) co_return false;
      // Without its name the result is still the result.
      if (!page.ok() || page->records().empty()) break;
      for (const auto& stored : page->records()) {
        from = stored.seq() - 1;
        tape::RunEvent event;
        if (stored.erased() || !event.ParseFromString(stored.payload())) continue;
        if (event.has_model_turn_finished()) co_return true;
        if (event.has_policy_started() && event.policy_started().turn() == turn &&
            event.policy_started().call_index() < kNames) {
          remember_name(turn, event.policy_started().call_index(),
                        event.policy_started().call().name());
        }
      }
    }
    co_return true;
  }

  // Tool results name their tool, which only the proposal on the tape says.
  static constexpr uint32_t kNames = 64;
  void remember_name(uint32_t turn, uint32_t index, const std::string& name) {
    if (turn != names_turn_) names_.clear();
    names_turn_ = turn;
    if (names_.size() <= index) names_.resize(index + 1);
    names_[index] = name;
  }
  std::string name_of(uint32_t turn, uint32_t index) const {
    return turn == names_turn_ && index < names_.size() ? names_[index] : std::string();
  }

  Journal& journal_;
  const std::shared_ptr<RunHub> hub_;
  Place place_;
  uint64_t live_;
  std::deque<api::RunStreamEvent> ready_;
  std::deque<TapeRecord> page_;
  std::vector<std::string> names_;
  uint32_t names_turn_ = 0;
  uint32_t searched_turn_ = 0;  // its proposals were read from the tape
  api::RunState shown_state_ = api::RUN_STATE_UNSPECIFIED;
  api::WaitReason shown_reason_ = api::WAIT_REASON_UNSPECIFIED;
  bool interrupted_ = false;  // by a message that no context shows yet
  bool erased_ = false;       // some record that was taken
  bool closed_ = false;
  bool done_ = false;
};

class Cursor : public Subscription {
 public:
  explicit Cursor(std::shared_ptr<CursorState> state) : state_(std::move(state)) {}
  ~Cursor() override { state_->close(); }
  Task<std::optional<api::RunStreamEvent>> next() override { return state_->next(); }
  void close() override { state_->close(); }

 private:
  const std::shared_ptr<CursorState> state_;
};

}  // namespace

std::unique_ptr<Subscription> make_cursor(Journal& journal, std::shared_ptr<RunHub> hub,
                                          Place place) {
  place.next_seq = std::max<uint64_t>(place.next_seq, 1);
  return std::make_unique<Cursor>(std::make_shared<CursorState>(journal, std::move(hub), place));
}

}  // namespace palyra::gateway
