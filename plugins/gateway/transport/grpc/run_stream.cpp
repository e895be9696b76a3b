#include "plugins/gateway/transport/grpc/run_stream.h"

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace palyra::gateway::transport {

namespace {

using Request = api::RunStreamRequest;
using Event = api::RunStreamEvent;

// Events that the lane may hand over before it waits for the client: enough that a burst costs one
// visit to the lane, little enough that text for a slow client merges in the subscription.
constexpr size_t kWindowEvents = 8;
constexpr size_t kWindowBytes = 64 * 1024;

// The conversation. Everything but the On* functions and end() runs on the lane. It owns itself
// until gRPC says OnDone, and each coroutine holds it besides.
class RunStreamCall : public grpc::ServerBidiReactor<Request, Event>,
                      public LiveCall,
                      public std::enable_shared_from_this<RunStreamCall> {
 public:
  RunStreamCall(TransportContext& context, Gateway& gateway, RequestContext words)
      : context_(context), gateway_(gateway), words_(std::move(words)), changed_(context.lane) {}

  void begin() {
    self_ = shared_from_this();
    if (!context_.live.add(this)) return end(shutting_down());
    StartRead(&incoming_);
    context_.lane.post([self = self_] { self->context_.tasks.spawn(self->serve(self)); });
  }

  // LiveCall; any thread.
  void end(const grpc::Status& status) override {
    {
      // No write begins after Finish.
      std::lock_guard lock(outgoing_mutex_);
      if (ended_.exchange(true)) return;
    }
    Finish(status);
  }

  // gRPC's threads: hand over and return.
  void OnReadDone(bool ok) override {
    context_.lane.post([self = shared_from_this(), ok] { self->read_.set(ok); });
  }
  void OnWriteDone(bool ok) override {
    bool tell = false;
    {
      std::lock_guard lock(outgoing_mutex_);
      outgoing_bytes_ -= outgoing_.front().ByteSizeLong();
      outgoing_.pop_front();
      writing_ = false;
      if (!ok) broken_ = true;
      write_front();
      tell = waiting_for_room_ && (broken_ || outgoing_.empty());
      if (tell) waiting_for_room_ = false;
    }
    if (tell) context_.lane.post([self = shared_from_this()] { self->room_.set(true); });
  }
  void OnCancel() override {
    context_.lane.post([self = shared_from_this()] { self->client_gone(); });
  }
  void OnDone() override {
    context_.live.remove(this);
    context_.lane.post([self = shared_from_this()] {
      self->client_gone();
      self->read_.set(false);
      self->room_.set(false);
    });
    self_.reset();
  }

 private:
  using Self = std::shared_ptr<RunStreamCall>;

  Task<bool> read() {
    const bool ok = co_await read_;
    read_ = Slot<bool>();
    co_return ok && !ended_;
  }
  void next_read() {
    if (!ended_) StartRead(&incoming_);
  }

  // Under outgoing_mutex_. What follows at once shares its packet, the status too.
  void write_front() {
    if (writing_ || ended_) return;
    if (outgoing_.empty() || broken_) {
      if (final_ && !ended_.exchange(true)) Finish(*final_);
      return;
    }
    grpc::WriteOptions options;
    if (outgoing_.size() == 1 && final_) {
      ended_ = true;
      return StartWriteAndFinish(&outgoing_.front(), options, *final_);
    }
    // The first carries the initial metadata, which gRPC 1.51 would hold back for ever with a hint.
    if (outgoing_.size() > 1 && spoke_) options.set_buffer_hint();
    spoke_ = true;
    writing_ = true;
    StartWrite(&outgoing_.front(), options);
  }

  // The lane has more to say, as a rule: the first packet goes when it has said it.
  void write_soon() {
    if (std::exchange(write_posted_, true)) return;
    context_.lane.post([self = shared_from_this()] {
      self->write_posted_ = false;
      std::lock_guard lock(self->outgoing_mutex_);
      self->write_front();
    });
  }

  // The call ends with this status when everything handed over is written.
  void finish(const grpc::Status& status) {
    std::lock_guard lock(outgoing_mutex_);
    final_ = status;
    write_front();
  }

  // Hands an event over; waits while the window is full. False if nobody reads any more.
  Task<bool> write(Event event) {
    while (true) {
      if (gone_ || ended_) co_return false;
      {
        std::lock_guard lock(outgoing_mutex_);
        if (broken_) co_return false;
        if (outgoing_.size() < kWindowEvents && outgoing_bytes_ < kWindowBytes) {
          outgoing_bytes_ += event.ByteSizeLong();
          outgoing_.push_back(std::move(event));
          if (!writing_) write_soon();
          co_return true;
        }
      }
      co_await all_written();
    }
  }

  // Until everything handed over is written, or nobody reads any more. Several may wait.
  Task<void> all_written() {
    while (draining_ && !gone_) co_await changed_.wait();
    if (gone_ || ended_) co_return;
    {
      std::lock_guard lock(outgoing_mutex_);
      if (outgoing_.empty() || broken_) co_return;
      room_ = Slot<bool>();
      waiting_for_room_ = true;
    }
    draining_ = true;
    const Slot<bool> room = room_;
    co_await room;
    draining_ = false;
    changed_.notify();
  }

  Task<void> write_error(const Status& status) {
    Event event;
    auto* failure = event.mutable_error();
    failure->set_code(static_cast<int>(status.code()));
    failure->set_message(status.message());
    failure->set_retryable(status.retryable());
    co_await write(std::move(event));
  }

  void client_gone() {
    gone_ = true;
    if (subscription_) subscription_->close();
    changed_.notify();
  }

  Task<void> serve([[maybe_unused]] Self self) {
    const Status status = co_await converse(self);
    finish(to_grpc(status));
    client_gone();
  }

  Task<Status> converse([[maybe_unused]] Self self) {
    if (!co_await read()) {
      co_return Status(Code::kInvalidArgument,
                       "the stream ended before its first message; send start or attach");
    }
    auto caller = context_.admission.admit(words_);
    if (!caller.ok()) co_return caller.status();
    caller_ = std::move(*caller);
    if (!context_.serving) co_return not_serving();
    api::RunAttach attach;
    if (incoming_.has_start()) {
      if (auto may = Admission::require(caller_, kScopeRunsWrite); !may.ok()) co_return may;
      auto accepted = co_await gateway_.start_run(caller_, std::move(*incoming_.mutable_start()));
      if (!accepted.ok()) co_return accepted.status();
      session_id_ = accepted->session_id;
      attach.set_run_id(accepted->run_id);
    } else if (incoming_.has_attach()) {
      attach = incoming_.attach();
    } else {
      co_return Status(Code::kInvalidArgument,
                       "the first message of a RunStream is start or attach");
    }
    if (auto may = Admission::require(caller_, kScopeRunsRead); !may.ok()) co_return may;
    if (session_id_.empty()) {
      // A follow-up may come before the run's first event.
      api::GetRunRequest request;
      request.set_run_id(attach.run_id());
      auto run = co_await gateway_.get_run(caller_, std::move(request));
      if (!run.ok()) co_return run.status();
      session_id_ = run->session_id();
    }
    following_.push_back(std::move(attach));
    next_read();
    context_.tasks.spawn(listen(self));
    while (!gone_) {
      if (following_.empty()) {
        if (requests_in_work_ == 0) break;
        co_await changed_.wait();
        continue;
      }
      const api::RunAttach target = std::move(following_.front());
      following_.pop_front();
      if (auto followed = co_await follow(target); !followed.ok()) co_return followed;
    }
    co_return closing_;
  }

  // A message that joined the run that is shown, or one that will be, is part of it.
  void follow_next(const std::string& run_id) {
    if (subscription_ && run_id == run_id_) return;
    for (const auto& target : following_) {
      if (target.run_id() == run_id) return;
    }
    api::RunAttach attach;
    attach.set_run_id(run_id);
    following_.push_back(std::move(attach));
  }

  // Streams one run to its end.
  Task<Status> follow(api::RunAttach target) {
    run_id_ = target.run_id();
    auto subscription = co_await gateway_.attach(caller_, std::move(target));
    if (!subscription.ok()) co_return subscription.status();
    subscription_ = std::move(*subscription);
    while (!gone_) {
      auto event = co_await subscription_->next();
      if (!event) break;
      if (!co_await write(std::move(*event))) break;
    }
    subscription_.reset();
    co_return Status();
  }

  // What the client says while it listens. Mistakes are answered on the stream and do not end it,
  // except a second start.
  Task<void> listen([[maybe_unused]] Self self) {
    while (co_await read()) {
      Request request = std::move(incoming_);
      incoming_.Clear();
      ++requests_in_work_;
      const Status status = co_await obey(std::move(request));
      --requests_in_work_;
      if (!status.ok()) {
        if (!closing_.ok()) {
          client_gone();
          break;
        }
        co_await write_error(status);
      }
      changed_.notify();
      next_read();
    }
  }

  Task<Status> obey(Request request) {
    switch (request.request_case()) {
      case Request::kFollowUp: {
        if (auto may = Admission::require(caller_, kScopeRunsWrite); !may.ok()) co_return may;
        auto accepted = co_await gateway_.follow_up(caller_, session_id_,
                                                    std::move(*request.mutable_follow_up()));
        if (!accepted.ok()) co_return accepted.status();
        follow_next(accepted->run_id);
        co_return Status();
      }
      case Request::kCancel: {
        if (auto may = Admission::require(caller_, kScopeRunsWrite); !may.ok()) co_return may;
        api::CancelRunRequest cancel;
        cancel.set_run_id(run_id_);
        cancel.set_reason(request.cancel().reason());
        auto cancelled = co_await gateway_.cancel_run(caller_, std::move(cancel));
        co_return cancelled.status();
      }
      case Request::kApproval: {
        if (auto may = Admission::require(caller_, kScopeApprovalsDecide); !may.ok()) co_return may;
        auto decided =
            co_await gateway_.decide_approval(caller_, std::move(*request.mutable_approval()));
        co_return decided.status();
      }
      case Request::kStart:
      case Request::kAttach:
        closing_ = Status(Code::kInvalidArgument,
                          "this stream already follows run " + run_id_ +
                              "; send follow_up, or open another stream (the run goes on)");
        co_return closing_;
      case Request::REQUEST_NOT_SET:
        break;
    }
    co_return Status(Code::kInvalidArgument,
                     "an empty message; send follow_up, cancel or approval");
  }

  TransportContext& context_;
  Gateway& gateway_;
  const RequestContext words_;
  Caller caller_;
  std::string session_id_;
  std::string run_id_;
  std::deque<api::RunAttach> following_;
  std::unique_ptr<Subscription> subscription_;
  Signal changed_;
  int requests_in_work_ = 0;
  bool draining_ = false;
  bool gone_ = false;
  Status closing_;

  Request incoming_;
  Slot<bool> read_;
  Slot<bool> room_;

  bool write_posted_ = false;

  std::mutex outgoing_mutex_;  // guards the seven below
  std::deque<Event> outgoing_;
  size_t outgoing_bytes_ = 0;
  bool writing_ = false;  // the front of them
  bool spoke_ = false;
  std::optional<grpc::Status> final_;
  bool waiting_for_room_ = false;
  bool broken_ = false;

  std::atomic<bool> ended_{false};
  Self self_;
};

}  // namespace

grpc::ServerBidiReactor<Request, Event>* serve_run_stream(TransportContext& context,
                                                          Gateway& gateway,
                                                          grpc::CallbackServerContext* call) {
  auto stream = std::make_shared<RunStreamCall>(context, gateway, request_context(*call));
  stream->begin();
  return stream.get();
}

}  // namespace palyra::gateway::transport
