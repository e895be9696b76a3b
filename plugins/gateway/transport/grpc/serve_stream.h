// One server-streaming call: admitted, handled on the lane, written at the client's pace.
#pragma once

#include "plugins/gateway/audit/audit.h"
#include "plugins/gateway/transport/grpc/context.h"

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace palyra::gateway::transport {

// Everything but the On* functions and end() runs on the lane. It owns itself until gRPC says
// OnDone; its coroutine holds it besides.
template <typename Request, typename Message>
class StreamCall : public grpc::ServerWriteReactor<Message>,
                   public LiveCall,
                   public Sink<Message>,
                   public std::enable_shared_from_this<StreamCall<Request, Message>> {
 public:
  using Handle = std::function<Task<Status>(Caller, Request, Sink<Message>&)>;

  StreamCall(TransportContext& context, RequestContext words, Request request, std::string scope,
             Handle handle)
      : context_(context),
        words_(std::move(words)),
        request_(std::move(request)),
        scope_(std::move(scope)),
        handle_(std::move(handle)) {}

  void begin() {
    self_ = this->shared_from_this();
    if (!context_.live.add(this)) return end(shutting_down());
    context_.lane.post([self = self_] { self->context_.tasks.spawn(self->serve(self)); });
  }

  // Sink.
  Task<bool> write(Message message) override {
    if (gone_) co_return false;
    written_ = Slot<bool>();
    {
      // No write begins after Finish.
      const std::lock_guard lock(mutex_);
      if (ended_) co_return false;
      outgoing_ = std::move(message);
      this->StartWrite(&outgoing_);
    }
    const Slot<bool> written = written_;
    co_return co_await written;
  }

  // LiveCall; any thread.
  void end(const grpc::Status& status) override {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(ended_, true)) return;
    }
    this->Finish(status);
  }

  // gRPC's threads: hand over and return.
  void OnWriteDone(bool ok) override {
    context_.lane.post([self = this->shared_from_this(), ok] { self->written_.set(ok); });
  }
  void OnCancel() override {
    context_.lane.post([self = this->shared_from_this()] { self->gone_ = true; });
  }
  void OnDone() override {
    context_.live.remove(this);
    context_.lane.post([self = this->shared_from_this()] {
      self->gone_ = true;
      self->written_.set(false);
    });
    self_.reset();
  }

 private:
  using Self = std::shared_ptr<StreamCall>;

  Task<void> serve([[maybe_unused]] Self self) {
    Status status;
    auto caller = context_.admission.admit(words_);
    if (!caller.ok()) {
      status = caller.status();
    } else if (status = Admission::require(*caller, scope_); status.ok()) {
      status = co_await handle_(std::move(*caller), std::move(request_), *this);
    }
    context_.live.remove(this);
    end(to_grpc(status));
  }

  TransportContext& context_;
  const RequestContext words_;
  Request request_;
  const std::string scope_;
  const Handle handle_;
  bool gone_ = false;
  Slot<bool> written_;
  Self self_;

  std::mutex mutex_;
  bool ended_ = false;
  Message outgoing_;
};

template <typename Request, typename Message>
grpc::ServerWriteReactor<Message>* serve_stream(
    TransportContext& context, grpc::CallbackServerContext* call, const Request* request,
    std::string scope, typename StreamCall<Request, Message>::Handle handle) {
  auto stream = std::make_shared<StreamCall<Request, Message>>(
      context, request_context(*call), *request, std::move(scope), std::move(handle));
  stream->begin();
  return stream.get();
}

}  // namespace palyra::gateway::transport
