// Calls that stream in one direction: admitted and handled on the lane, finished once.
#pragma once

#include "plugins/gateway/streams.h"
#include "plugins/gateway/transport/grpc/context.h"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace palyra::gateway::transport {

// What both directions share. Everything but the On* functions and end() runs on the lane. A call
// owns itself until gRPC says OnDone, and its coroutine holds it besides.
template <typename Reactor>
class OneWayCall : public Reactor,
                   public LiveCall,
                   public std::enable_shared_from_this<OneWayCall<Reactor>> {
 public:
  OneWayCall(TransportContext& context, RequestContext words, std::string scope)
      : context_(context), words_(std::move(words)), scope_(std::move(scope)) {}

  void begin() {
    self_ = this->shared_from_this();
    if (!context_.live.add(this)) return end(shutting_down());
    context_.lane.post([self = self_] { self->context_.tasks.spawn(serve(self)); });
  }

  // LiveCall; any thread.
  void end(const grpc::Status& status) override {
    {
      // No read or write begins after Finish.
      std::lock_guard lock(mutex_);
      if (ended_) return;
      ended_ = true;
    }
    this->Finish(status);
  }

  // gRPC's threads: hand over and return.
  void OnCancel() override { step_over(false); }
  void OnDone() override {
    context_.live.remove(this);
    step_over(false);
    self_.reset();
  }

 protected:
  // Handles an admitted caller.
  virtual Task<Status> handle(Caller caller) = 0;

  // Begins a read or a write by `start` and answers whether it went well.
  Task<bool> step(std::function<void()> start) {
    step_ = Slot<bool>();
    const Slot<bool> slot = step_;
    {
      std::lock_guard lock(mutex_);
      if (ended_ || gone_) co_return false;
      start();
    }
    const bool went_well = co_await slot;
    co_return went_well && !gone_;
  }
  bool gone() const { return gone_; }
  void step_over(bool ok) {
    context_.lane.post([self = this->shared_from_this(), ok] {
      if (!ok) self->gone_ = true;
      if (!self->step_.ready()) self->step_.set(ok);
    });
  }
  // What gRPC owns lives until the call is finished.
  template <typename Use>
  void unless_ended(Use use) {
    std::lock_guard lock(mutex_);
    if (!ended_) use();
  }
  // As step_over(false), but the client is still there: it has nothing more to say.
  void input_over() {
    context_.lane.post([self = this->shared_from_this()] {
      if (!self->step_.ready()) self->step_.set(false);
    });
  }

 private:
  static Task<void> serve(std::shared_ptr<OneWayCall> self) {
    Status status;
    auto caller = self->context_.admission.admit(self->words_);
    if (!caller.ok()) {
      status = caller.status();
    } else if (!self->context_.serving) {
      status = not_serving();
    } else if (status = Admission::require(*caller, self->scope_); status.ok()) {
      status = co_await self->handle(std::move(*caller));
    }
    self->context_.live.remove(self.get());
    self->end(to_grpc(status));
  }

  TransportContext& context_;
  const RequestContext words_;
  const std::string scope_;
  std::shared_ptr<OneWayCall> self_;
  Slot<bool> step_;    // lane
  bool gone_ = false;  // lane: the client is
  std::mutex mutex_;   // guards the one below
  bool ended_ = false;
};

template <typename Request, typename Response>
class ServerStreamCall final : public OneWayCall<grpc::ServerWriteReactor<Response>> {
 public:
  using Handle = std::function<Task<Status>(Caller, Request, Send<Response>)>;
  ServerStreamCall(TransportContext& context, RequestContext words, std::string scope,
                   Request request, Handle handle)
      : OneWayCall<grpc::ServerWriteReactor<Response>>(context, std::move(words), std::move(scope)),
        request_(std::move(request)),
        handle_(std::move(handle)) {}

  void OnWriteDone(bool ok) override { this->step_over(ok); }

 private:
  Task<Status> handle(Caller caller) override {
    Send<Response> send = [this](Response message) { return write(std::move(message)); };
    co_return co_await handle_(std::move(caller), std::move(request_), std::move(send));
  }
  Task<bool> write(Response message) {
    message_ = std::move(message);
    std::function<void()> start = [this] { this->StartWrite(&message_); };
    co_return co_await this->step(std::move(start));
  }

  Request request_;
  const Handle handle_;
  Response message_;
};

template <typename Request, typename Response>
class ClientStreamCall final : public OneWayCall<grpc::ServerReadReactor<Request>> {
 public:
  using Handle = std::function<Task<Result<Response>>(Caller, Receive<Request>, Gone)>;
  ClientStreamCall(TransportContext& context, RequestContext words, std::string scope,
                   Response* response, Handle handle)
      : OneWayCall<grpc::ServerReadReactor<Request>>(context, std::move(words), std::move(scope)),
        response_(response),
        handle_(std::move(handle)) {}

  void OnReadDone(bool ok) override {
    if (ok) {
      this->step_over(true);
    } else {
      this->input_over();
    }
  }

 private:
  Task<Status> handle(Caller caller) override {
    Receive<Request> receive = [this] { return read(); };
    Gone gone = [this] { return this->gone(); };
    auto result = co_await handle_(std::move(caller), std::move(receive), std::move(gone));
    if (result.ok()) {
      this->unless_ended([&] { *response_ = std::move(*result); });
    }
    co_return result.status();
  }
  Task<std::optional<Request>> read() {
    std::function<void()> start = [this] { this->StartRead(&message_); };
    if (!co_await this->step(std::move(start))) co_return std::nullopt;
    co_return std::move(message_);
  }

  Response* const response_;
  const Handle handle_;
  Request message_;
};

template <typename Request, typename Response>
grpc::ServerWriteReactor<Response>* send_stream(
    TransportContext& context, grpc::CallbackServerContext* call, const Request* request,
    std::string scope, typename ServerStreamCall<Request, Response>::Handle handle) {
  auto stream = std::make_shared<ServerStreamCall<Request, Response>>(
      context, request_context(*call), std::move(scope), *request, std::move(handle));
  stream->begin();
  return stream.get();
}

template <typename Request, typename Response>
grpc::ServerReadReactor<Request>* receive_stream(
    TransportContext& context, grpc::CallbackServerContext* call, Response* response,
    std::string scope, typename ClientStreamCall<Request, Response>::Handle handle) {
  auto stream = std::make_shared<ClientStreamCall<Request, Response>>(
      context, request_context(*call), std::move(scope), response, std::move(handle));
  stream->begin();
  return stream.get();
}

}  // namespace palyra::gateway::transport
